//! The places where a check and its consequence must be one step in Redis.

use std::sync::LazyLock;

use redis::Script;

/// Renews the leases of those ids that still belong to the consumer. A worker that was stopped past its
/// lease and woke up must not take back what another now holds.
/// Arguments: group, consumer, ids. Returns how many were renewed.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local mine = {}
for i = 3, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if #pending == 1 then mine[#mine + 1] = ARGV[i] end
end
if #mine > 0 then
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(mine), 'JUSTID')
end
return #mine",
    )
});

/// Takes a delivery back from the count of those ids that still belong to the consumer: they did nothing wrong, and
/// whatever ends this worker now is not their doing.
/// Arguments: group, consumer, deliveries to show, ids.
pub(super) static FORGIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local mine = {}
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if #pending == 1 then mine[#mine + 1] = ARGV[i] end
end
if #mine > 0 then
  local claim = {KEYS[1], ARGV[1], ARGV[2], 0}
  for _, id in ipairs(mine) do claim[#claim + 1] = id end
  for _, word in ipairs({'RETRYCOUNT', ARGV[3], 'JUSTID'}) do claim[#claim + 1] = word end
  redis.call('XCLAIM', unpack(claim))
end
return #mine",
    )
});

/// Hands entries back: anyone may take them at once, and the delivery that ends here does not count,
/// because the entry did nothing wrong. They wait under a name of nobody's, so that who hands them back can
/// leave the group.
/// Arguments: group, consumer, idle milliseconds and deliveries to show, nobody's name, ids. Returns how many were handed back.
pub(super) static HAND_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local count = 0
for i = 6, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if #pending == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[5], 0, ARGV[i],
               'IDLE', ARGV[3], 'RETRYCOUNT', ARGV[4], 'JUSTID')
    count = count + 1
  end
end
return count",
    )
});

/// Removes a consumer only when it holds nothing: XGROUP DELCONSUMER would drop its pending entries.
/// Arguments: group, consumer. Returns 1 when removed.
pub(super) static REMOVE_CONSUMER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1",
    )
});

/// Moves entries of a newer layout that still belong to the consumer out of the way, byte by byte as they are, and notes
/// the layout.
/// Keys: stream, set of layouts, stream of that layout. Arguments: group, consumer, layout, ids. Returns how many.
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local count = 0
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  local found = #pending == 1 and redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i]) or {}
  if #found == 1 then
    redis.call('SADD', KEYS[2], ARGV[3])
    redis.call('XADD', KEYS[3], '*', unpack(found[1][2]))
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    redis.call('XDEL', KEYS[1], ARGV[i])
    count = count + 1
  end
end
return count",
    )
});

/// Brings entries back that waited for a build that can read them, the oldest first, and forgets the layout when none
/// are left.
/// Keys: as for [`LEAVE`]. Arguments: layout, how many at most. Returns how many.
pub(super) static BRING_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', ARGV[2])
for _, entry in ipairs(found) do
  redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
  redis.call('XDEL', KEYS[3], entry[1])
end
if redis.call('XLEN', KEYS[3]) == 0 then
  redis.call('DEL', KEYS[3])
  redis.call('SREM', KEYS[2], ARGV[1])
end
return #found",
    )
});

/// A worker's sign of life, the shards it knows of, and those it claims: it gets what is free or its own already. One
/// step, so that of two that claim a shard one has it, by one clock, which is Redis's.
/// Keys: names by when they run out, holders by shard (`<when it runs out> <name>`), the shards there are, what names say of
/// themselves, the pause. Arguments: name, lease in milliseconds, 1 for who leaves, what it says of itself, how many shards
/// are known, those, and the claimed ones. Returns whether the name was known, the names, the shards there are, those that
/// are the name's, and the pause.
const ATTEND_BODY: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format('%.0f', now + ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if ARGV[3] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[4], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ends, ARGV[1])
  redis.call('HSET', KEYS[4], ARGV[1], ARGV[4])
end
if redis.call('HLEN', KEYS[4]) > redis.call('ZCARD', KEYS[1]) then
  for _, name in ipairs(redis.call('HKEYS', KEYS[4])) do
    if not redis.call('ZSCORE', KEYS[1], name) then redis.call('HDEL', KEYS[4], name) end
  end
end
for i = 6, 5 + ARGV[5] do
  redis.call('SADD', KEYS[3], ARGV[i])
end
local granted = {}
for i = 6 + ARGV[5], #ARGV do
  local holder = redis.call('HGET', KEYS[2], ARGV[i])
  local until_ms, name = string.match(holder or '0 ', '^(%d+) (.*)$')
  if not name or name == ARGV[1] or tonumber(until_ms) <= now then
    redis.call('HSET', KEYS[2], ARGV[i], ends .. ' ' .. ARGV[1])
    granted[#granted + 1] = tonumber(ARGV[i])
  end
end
return {known, redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('SMEMBERS', KEYS[3]), granted,
        redis.call('HGETALL', KEYS[5])}";

/// [`ATTEND_BODY`], although the memory is full: workers are who makes room.
pub(super) static ATTEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(&format!("#!lua flags=allow-oom{ATTEND_BODY}")));

/// The same for servers that know no flags.
pub(super) static ATTEND_UNFLAGGED: LazyLock<Script> = LazyLock::new(|| Script::new(ATTEND_BODY));

/// Lets go of those shards that are still the name's.
/// Keys: holders by shard. Arguments: name, shards.
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
for i = 2, #ARGV do
  local holder = redis.call('HGET', KEYS[1], ARGV[i])
  if holder and string.match(holder, '^%d+ (.*)$') == ARGV[1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 1",
    )
});
