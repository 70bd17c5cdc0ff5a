//! The keys of the store, and the scripts that change them. Redis runs each script by itself and appends what it
//! changed as a whole.

use redis::{Cmd, Pipeline, cmd};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::standing::BRANCHES;
use crate::used_tokens::UsedToken;
use crate::used_tokens::known::StoreState;
use crate::used_tokens::packed::pack_block;

/// A hash: `store`, `fence`, `mark`, `epoch` and `position`.
pub(super) const STATE: &str = "oncelink:used-tokens";
/// The names of the branches, sorted by their first positions.
pub(super) const BRANCH_NAMES: &str = "oncelink:used-tokens:branches";
/// The keys of the records, sorted by when they may be removed.
const FORGET: &str = "oncelink:used-tokens:forget";
/// The key of a record, before its jti.
const RECORD: &str = "oncelink:used-token:";

/// Maximum number of records that are removed at once, so that claims get in between.
pub(super) const PURGE_PORTION: u64 = 1_000;

/// KEYS: the state, the records by their end, then records. ARGV for each record: the epoch that the process
/// knows, or nothing if any will do; its position; the record's present value; its new one; its end; when it
/// was marked. Returns 1 for each record that was changed.
const SWAP: &str = "
local state = redis.call('HMGET', KEYS[1], 'epoch', 'position', 'mark')
local position, mark, risen, done = tonumber(state[2] or -1), tonumber(state[3] or -1), false, {}
for i = 3, #KEYS do
  local at = (i - 3) * 6
  local epoch, changed = ARGV[at + 1], 0
  local known = epoch == state[1] and position >= tonumber(ARGV[at + 2])
  if (known or epoch == '') and (redis.call('GET', KEYS[i]) or '') == ARGV[at + 3] then
    redis.call('SET', KEYS[i], ARGV[at + 4])
    redis.call('ZADD', KEYS[2], ARGV[at + 5], KEYS[i])
    if known and tonumber(ARGV[at + 6]) > mark then
      mark, risen = tonumber(ARGV[at + 6]), ARGV[at + 6]
    end
    changed = 1
  end
  done[#done + 1] = changed
end
if risen then redis.call('HSET', KEYS[1], 'mark', risen) end
return done";

/// KEYS: the records by their end. ARGV: now, and how many at most. Returns how many were removed.
const PURGE: &str = "
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #due > 0 then
  redis.call('DEL', unpack(due))
  redis.call('ZREM', KEYS[1], unpack(due))
end
return #due";

/// KEYS: the state and the branches. ARGV: id, fence and mark of a new store, the name of a branch, and how
/// many branches are kept.
const OPEN: &str = "
for i, field in ipairs({'store', 'fence', 'mark'}) do redis.call('HSETNX', KEYS[1], field, ARGV[i]) end
redis.call('HSETNX', KEYS[1], 'epoch', 0)
local position = redis.call('HINCRBY', KEYS[1], 'position', 1)
redis.call('ZADD', KEYS[2], position, ARGV[4])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - ARGV[5])
return 1";

/// KEYS: the state. ARGV: the position that the process knows. Returns 1 if the position was increased.
const RISE: &str = "
if tonumber(redis.call('HGET', KEYS[1], 'position') or -1) < tonumber(ARGV[1]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'position', 1)
return 1";

/// KEYS: the state and the branches. ARGV: the epoch that was judged, or nothing if there was none; id, fence,
/// epoch and mark; the position to exceed; the name for a first branch. Returns 1 if it was done.
const BEGIN_EPOCH: &str = "
if (redis.call('HGET', KEYS[1], 'epoch') or '') ~= ARGV[1] then return 0 end
redis.call('HSETNX', KEYS[1], 'store', ARGV[2])
redis.call('HSET', KEYS[1], 'fence', ARGV[3], 'epoch', ARGV[4])
redis.call('HSETNX', KEYS[1], 'mark', ARGV[5])
if tonumber(redis.call('HGET', KEYS[1], 'position') or -1) < tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 'position', ARGV[6])
end
local position = redis.call('HINCRBY', KEYS[1], 'position', 1)
if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('ZADD', KEYS[2], position, ARGV[7]) end
return 1";

/// KEYS: the state. ARGV: the epoch that the process knows, and the time.
const RECORD_TIME: &str = "
local state = redis.call('HMGET', KEYS[1], 'epoch', 'mark')
if state[1] == ARGV[1] and tonumber(state[2] or -1) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'mark', ARGV[2])
end
return 1";

/// KEYS: the state. ARGV: mark and fence.
const RESET_TIME: &str = "
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HINCRBY', KEYS[1], 'position', 1)
redis.call('HSET', KEYS[1], 'mark', ARGV[1], 'fence', ARGV[2])
return 1";

/// KEYS: the state. Writes what is there; returns 0 if there is no store.
const PROBE: &str = "
local mark = redis.call('HGET', KEYS[1], 'mark')
if not mark then return 0 end
redis.call('HSET', KEYS[1], 'mark', mark)
return 1";

/// One change of a record.
pub(super) struct Swap<'a> {
    /// The epoch and position that must still be those of the store; `None`: any.
    pub(super) known: Option<(i64, i64)>,
    /// The present value of the record; empty if it doesn't exist.
    pub(super) old: &'a [u8],
    pub(super) new: &'a UsedToken,
}

/// Changes records whose values are as expected.
pub(super) fn swap(changes: &[Swap<'_>]) -> Cmd {
    let mut command = eval(SWAP);
    command.arg(changes.len().saturating_add(2)).arg(STATE).arg(FORGET);
    for change in changes {
        command.arg(record(change.new.jti));
    }
    for change in changes {
        match change.known {
            Some((epoch, position)) => command.arg(epoch).arg(position),
            None => command.arg("").arg(""),
        };
        command.arg(change.old).arg(pack_block(0, std::slice::from_ref(change.new)));
        command.arg(change.new.forget_at.secs()).arg(change.new.marked_at.secs());
    }
    command
}

pub(super) fn purge(now: Timestamp) -> Cmd {
    script(PURGE, &[FORGET]).arg(now.secs()).arg(PURGE_PORTION).take()
}

/// Creates the store as `new` unless there is one, and begins the branch that `new` names.
pub(super) fn open(new: &StoreState) -> Cmd {
    let mut command = script(OPEN, &[STATE, BRANCH_NAMES]);
    command.arg(&new.id).arg(new.fence.secs()).arg(new.mark.secs()).arg(&new.branch).arg(BRANCHES).take()
}

pub(super) fn rise(position: i64) -> Cmd {
    script(RISE, &[STATE]).arg(position).take()
}

/// Begins the epoch of `new`, at a position after its own, if the store still is in the epoch `judged`.
pub(super) fn begin_epoch(judged: Option<i64>, new: &StoreState) -> Cmd {
    let judged = judged.map(|epoch| epoch.to_string()).unwrap_or_default();
    let mut command = script(BEGIN_EPOCH, &[STATE, BRANCH_NAMES]);
    command.arg(judged).arg(&new.id).arg(new.fence.secs()).arg(new.epoch).arg(new.mark.secs());
    command.arg(new.position).arg(&new.branch).take()
}

pub(super) fn record_time(epoch: i64, now: Timestamp) -> Cmd {
    script(RECORD_TIME, &[STATE]).arg(epoch).arg(now.secs()).take()
}

pub(super) fn reset_time(mark: Timestamp, fence: Timestamp) -> Cmd {
    script(RESET_TIME, &[STATE]).arg(mark.secs()).arg(fence.secs()).take()
}

pub(super) fn probe() -> Cmd {
    script(PROBE, &[STATE])
}

/// Reads the values of records.
pub(super) fn find(jtis: &[Jti]) -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("MGET").arg(jtis.iter().map(|jti| record(*jti)).collect::<Vec<_>>());
    commands
}

/// Reads the state and the last branch, both of the same moment.
pub(super) fn read_state() -> Pipeline {
    let mut commands = redis::pipe();
    commands.atomic();
    commands.cmd("HMGET").arg(STATE).arg(&["store", "fence", "mark", "epoch", "position"]);
    commands.cmd("ZREVRANGE").arg(BRANCH_NAMES).arg(0).arg(0);
    commands
}

/// Reads the branches and their first positions.
pub(super) fn read_branches() -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("ZRANGE").arg(BRANCH_NAMES).arg(0).arg(-1).arg("WITHSCORES");
    commands
}

fn record(jti: Jti) -> String {
    format!("{RECORD}{jti}")
}

fn eval(script: &str) -> Cmd {
    cmd("EVAL").arg(script).take()
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    eval(text).arg(keys.len()).arg(keys).take()
}
