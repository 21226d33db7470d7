//! A broker of the test's own, and a way to it that can be stopped up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

const TO_START: Duration = Duration::from_secs(20);

/// A `redis-server`, killed when dropped.
pub struct Broker {
    process: Child,
    folder: PathBuf,
    pub port: u16,
}

impl Broker {
    /// None if there is no `redis-server` here, which only CI must have.
    pub fn start() -> Option<Self> {
        let mut folder = std::env::temp_dir();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        folder.push(format!("we-cluster-{}-{number}", std::process::id()));
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < TO_START, "redis-server does not start");
            // Whoever has not started takes it away.
            std::fs::create_dir_all(&folder).unwrap();
            let port = free_port();
            let Some(process) = spawn(&folder, port) else {
                assert!(
                    std::env::var_os("CI").is_none_or(|ci| ci != "1"),
                    "redis-server is not on the PATH: install the Debian package redis-server"
                );
                println!("skipped: there is no redis-server (Debian's package redis-server)");
                return None;
            };
            let mut broker = Self {
                process,
                folder: folder.clone(),
                port,
            };
            // Somebody else may have taken the port meanwhile.
            if broker.has_started() {
                return Some(broker);
            }
        }
    }

    fn has_started(&mut self) -> bool {
        let began = Instant::now();
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(answer) = self.command(&[b"INFO", b"server"])
                && answer.contains(&format!("process_id:{}", self.process.id()))
            {
                return true;
            }
            assert!(began.elapsed() < TO_START, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same port. It has forgotten all.
    pub fn restart(&mut self) {
        let began = Instant::now();
        loop {
            self.process = spawn(&self.folder, self.port).unwrap();
            if self.has_started() {
                return;
            }
            assert!(began.elapsed() < TO_START, "the port is somebody else's");
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Has a command answered, without the crate that is tested: what comes in a moment.
    pub fn command(&self, parts: &[&[u8]]) -> std::io::Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(&encode(parts))?;
        let mut answer = vec![0; 16 << 10];
        let len = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
    }

    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(stream)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(folder: &PathBuf, port: u16) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.arg("--dir").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    match command.spawn() {
        Ok(process) => Some(process),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

/// A command as it stands on the wire.
pub fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend(format!("${}\r\n", part.len()).bytes());
        bytes.extend_from_slice(part);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Stands between a node and the broker. What comes while it is stopped up comes later.
pub struct Proxy {
    pub address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub async fn start(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(watch::Sender::new(true));
        let gate = is_open.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let gate = gate.clone();
                tokio::spawn(async move {
                    let open = gate.subscribe().wait_for(|open| *open).await.map(|_| ());
                    open.unwrap();
                    let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::spawn(carry(near_in, far_out, gate.subscribe()));
                    carry(far_in, near_out, gate.subscribe()).await;
                });
            }
        });
        Self { address, is_open }
    }

    pub fn stop_up(&self) {
        self.is_open.send_replace(false);
    }

    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(len @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if gate.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..len]).await.is_err()
        {
            return;
        }
    }
}
