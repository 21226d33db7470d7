//! Leases: who owns a room, and since when. A lease is a key that runs out by itself; it is taken, renewed and let go of by scripts, so
//! that each is done as a whole.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::record::NodeId;

/// Takes the lease if nobody has it. Who has it already begins another term: a session that ended has left others without some of what
/// was said. The epoch is the time of the broker in microseconds, so that it grows even if the broker has forgotten all.
const ACQUIRE: &str = r"
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (%x+)$') ~= ARGV[1] then
    return held
end
local now = redis.call('TIME')
local value = now[1] .. string.rep('0', 6 - #now[2]) .. now[2] .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
return value
";

const RENEW: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
";

/// A time in which a node owns a room. No two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) epoch: u64,
    pub(crate) owner: NodeId,
}

impl Term {
    /// As the lease has it.
    pub(crate) fn value(self) -> String {
        format!("{} {}", self.epoch, self.owner)
    }

    fn parse(value: &[u8]) -> Result<Self, String> {
        let parse = || {
            let (epoch, owner) = str::from_utf8(value).ok()?.split_once(' ')?;
            Some(Self {
                epoch: epoch.parse().ok()?,
                owner: NodeId(u128::from_str_radix(owner, 16).ok()?),
            })
        };
        parse().ok_or_else(|| "there is something else where the lease should be".to_owned())
    }
}

/// A connection to the broker, as long as it lasts.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) number: u64,
    connection: MultiplexedConnection,
}

impl Session {
    pub(crate) fn new(number: u64, connection: MultiplexedConnection) -> Self {
        Self { number, connection }
    }

    /// Takes a lease for `node` if it is free or its own. Returns whose it is.
    pub(crate) async fn acquire(
        &self,
        key: &str,
        node: NodeId,
        lease: Duration,
    ) -> Result<Term, String> {
        let mut command = script(ACQUIRE, key, &node.to_string());
        command.arg(milliseconds(lease));
        let value: Vec<u8> = self.ask(&command).await?;
        Term::parse(&value)
    }

    /// Whose a lease is.
    pub(crate) async fn peek(&self, key: &str) -> Result<Option<Term>, String> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        let value: Option<Vec<u8>> = self.ask(&command).await?;
        value.map(|value| Term::parse(&value)).transpose()
    }

    /// Has a lease run out later. Returns whether it still is that of this term.
    pub(crate) async fn renew(
        &self,
        key: &str,
        term: Term,
        lease: Duration,
    ) -> Result<bool, String> {
        let mut command = script(RENEW, key, &term.value());
        command.arg(milliseconds(lease));
        self.ask(&command).await
    }

    pub(crate) async fn subscribe(&self, channel: &str) -> Result<(), String> {
        let mut connection = self.connection.clone();
        let subscribed = connection.subscribe(channel).await;
        subscribed.map_err(|error| error.to_string())
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        let mut connection = self.connection.clone();
        let answer = command.query_async(&mut connection).await;
        answer.map_err(|error| error.to_string())
    }
}

/// Lets go of a lease, if it still has this value.
pub(crate) fn release(pipeline: &mut redis::Pipeline, key: &str, value: &str) {
    pipeline.add_command(script(RELEASE, key, value)).ignore();
}

fn script(text: &str, key: &str, argument: &str) -> redis::Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(1).arg(key).arg(argument);
    command
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
