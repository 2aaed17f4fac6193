-- Stands before every script. KEYS are the task stream and, for one session, its state and its log; ARGV[1] is its id.
local tasks, group = KEYS[1], 'workers'
local session = { id = ARGV[1], state = KEYS[2], log = KEYS[3] }

local function get(s, ...) return redis.call('HMGET', s.state, ...) end

-- Asks the process of an owner or a worker to look at a session. It loses nothing if it doesn't hear this, only time.
local function tell(who, s)
  if who then redis.call('PUBLISH', 'tidegate:{queue}:process:' .. string.match(who, '^%x*'), s.id) end
end

-- Why this command of an owner is refused: it is not the owner any more, or gave up waiting for this command and sent others since.
local function refused(s, owner, op)
  local at = get(s, 'owner', 'op')
  if not at[1] then return 'gone' end
  if at[1] ~= owner then return 'fenced' end
  if tonumber(op) <= tonumber(at[2]) then return 'overtaken' end
  redis.call('HSET', s.state, 'op', op)
end

local function unqueue(entry)
  redis.call('XACK', tasks, group, entry)
  redis.call('XDEL', tasks, entry)
end

local function queue(s, task)
  return redis.call('XADD', tasks, '*', 'session', s.id, 'task', task)
end

-- How many tasks no worker has. Without a group, no worker ever came.
local function waiting()
  local pending = redis.pcall('XPENDING', tasks, group)
  return redis.call('XLEN', tasks) - (pending.err and 0 or pending[1])
end

-- Whether this is the worker that has the task now.
local function holds_lease(s, worker) return get(s, 'worker')[1] == worker end

-- Adds what the log doesn't have yet of a worker's pieces, which ARGV holds in pairs from `from` on: visible or not, and the data. The
-- first of them is the lease's piece number `number`. Returns what was said and taken by then, or nothing where earlier ones are missing:
-- the server has lost them.
local function emit(s, number, from)
  local at = get(s, 'emitted', 'task', 'owner', 'said', 'taken')
  local emitted, said = tonumber(at[1]), tonumber(at[4] or 0)
  if number > emitted + 1 then return nil end
  for i = from, #ARGV, 2 do
    if number > emitted then
      redis.call('XADD', s.log, '*', 'kind', 'piece', 'task', at[2], 'data', ARGV[i + 1])
      if ARGV[i] == '1' then redis.call('HSET', s.state, 'visible', 1) end
      -- As its owner counts it (Output::weight).
      said = said + #ARGV[i + 1] + 64
      emitted = number
    end
    number = number + 1
  end
  redis.call('HSET', s.state, 'emitted', emitted, 'said', said)
  tell(at[3], s)
  return said, tonumber(at[5] or 0)
end

-- Ends the session's task: the only place that writes an end. `who` settled it, if a worker did.
local function finish(s, how, data, who)
  local at = get(s, 'task', 'entry', 'owner')
  redis.call('XADD', s.log, '*', 'kind', 'end', 'task', at[1], 'end', how, 'data', data)
  redis.call('HDEL', s.state, 'task', 'entry', 'payload', 'attempt', 'worker', 'emitted', 'visible', 'cancel')
  redis.call('HSET', s.state, 'last', at[1], 'settled', who or '')
  unqueue(at[2])
  tell(at[3], s)
end

-- What becomes of a task whose worker is lost: the line. Whatever that worker still sends is refused.
local function recover(s, attempts)
  local at = get(s, 'task', 'entry', 'visible', 'cancel', 'attempt')
  if at[4] then return finish(s, 'cancelled', '') end
  if at[3] then return finish(s, 'lost', '') end
  if tonumber(at[5]) >= tonumber(attempts) then return finish(s, 'given_up', '') end
  unqueue(at[2])
  redis.call('HDEL', s.state, 'worker', 'emitted')
  redis.call('HSET', s.state, 'entry', queue(s, at[1]))
end

-- Deletes all of a session. A worker that has its task finds out.
local function forget(s)
  local at = get(s, 'entry', 'worker')
  if at[1] then unqueue(at[1]) end
  redis.call('DEL', s.state, s.log)
  tell(at[2], s)
end
