//! Looking at a bucket and taking from it is one step in Redis, by the clock of Redis.
//!
//! Fields of the hash, all in microseconds since 1970: `tat` and `tat:<endpoint>`, when the bucket would be full
//! again; `pause` and `pause:<endpoint>`, until when nothing is granted. Moments are written with `%.0f`, because
//! Lua would shorten them to 14 digits.

use std::sync::LazyLock;

use redis::Script;

use crate::telemetry::WaitReason;

/// Takes a token from both buckets or from none.
/// Arguments: endpoint; of the account's bucket, then of the endpoint's: interval, tolerance, furthest ahead;
/// longest pause. Returns the microseconds to wait (0: taken), why, and in how many the account's bucket is full again.
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local endpoint = ARGV[1]
local fields = {'tat', 'tat:' .. endpoint, 'pause', 'pause:' .. endpoint}
local seen = redis.call('HMGET', KEYS[1], unpack(fields))
-- A moment further ahead than possible is from a clock that jumped back.
local function moment(field, ahead)
  return math.min(tonumber(seen[field] or 0), now + ahead)
end
local function bucket(field, interval, tolerance, ahead)
  local full_at = math.max(moment(field, tonumber(ahead)), now)
  return full_at + interval, full_at - tolerance - now
end
local account, account_wait = bucket(1, ARGV[2], ARGV[3], ARGV[4])
local specific, specific_wait = bucket(2, ARGV[5], ARGV[6], ARGV[7])
local pause_wait = math.max(moment(3, tonumber(ARGV[8])), moment(4, tonumber(ARGV[8]))) - now
local wait = math.max(account_wait, specific_wait, pause_wait)
if wait > 0 then
  if wait == pause_wait then return {wait, 3, 0} end
  if wait == specific_wait then return {wait, 2, 0} end
  return {wait, 1, 0}
end
redis.call('HSET', KEYS[1], fields[1], string.format('%.0f', account), fields[2], string.format('%.0f', specific))
local ttl = math.ceil((math.max(account, specific) - now) / 1000) + 1000
if ttl > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], ttl) end
return {0, 0, account - now}",
    )
});

/// Pauses an account (endpoint empty) or one of its endpoints.
/// Arguments: endpoint, microseconds.
pub(super) static PAUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local pause_until = time[1] * 1000000 + time[2] + ARGV[2]
local field = ARGV[1] == '' and 'pause' or 'pause:' .. ARGV[1]
if tonumber(redis.call('HGET', KEYS[1], field) or 0) < pause_until then
  redis.call('HSET', KEYS[1], field, string.format('%.0f', pause_until))
end
local ttl = math.ceil(ARGV[2] / 1000) + 1000
if ttl > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], ttl) end",
    )
});

/// The second number [`TAKE`] returns.
pub(super) fn reason(number: u8) -> WaitReason {
    match number {
        1 => WaitReason::Account,
        2 => WaitReason::Endpoint,
        _ => WaitReason::Paused,
    }
}
