//! The client that `make autobahn` tests: asks a fuzzing server for its cases, and sends back what comes in each.
//!
//!     cargo run -p we-net --example autobahn_client ws://127.0.0.1:9001 agent

use std::error::Error;

use we_net::{
    Client, WebSocket,
    protocol::{DeflateConfig, Message},
    server::echo,
    transport::ConnectError,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let count = case_count(connect(&format!("{server}/getCaseCount")).await?).await?;
    for case in 1..=count {
        let url = format!("{server}/runCase?case={case}&agent={agent}");
        // Whichever end a connection is of: it comes back as it came.
        echo(connect(&url).await?).await;
    }
    let mut report = connect(&format!("{server}/updateReports?agent={agent}")).await?;
    report.close(None).await;
    Ok(())
}

/// Offers compression in all the ways that the suite's servers ask for: some accept only a client that says it can
/// forget its window.
async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let forgetful = DeflateConfig {
        client_no_context_takeover: true,
        ..DeflateConfig::default()
    };
    let client = Client::builder()
        .compression([DeflateConfig::default(), forgetful])
        .build();
    client.connect(url).await
}

/// How many cases there are: the server's only message.
async fn case_count(mut socket: WebSocket) -> Result<u32, Box<dyn Error>> {
    let Some(Message::Text(count)) = socket.next().await? else {
        return Err("the server does not say how many cases there are".into());
    };
    while socket.next().await?.is_some() {}
    Ok(count.parse()?)
}
