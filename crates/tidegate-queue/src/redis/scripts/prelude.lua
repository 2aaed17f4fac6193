-- Stands before every script. KEYS are the task stream and, for one session, its state and its log; ARGV[1] is its id.
local tasks, group = KEYS[1], 'workers'
local session = { id = ARGV[1], state = KEYS[2], log = KEYS[3] }

local function get(s, ...) return redis.call('HMGET', s.state, ...) end

-- Asks a process to look at a session. It loses nothing if it doesn't hear this, only time.
local function tell(process, s)
  if process then redis.call('PUBLISH', 'tidegate:{queue}:process:' .. process, s.id) end
end

-- Why this command of an owner is refused: it is not the owner any more, or gave up waiting for this command and sent others since.
local function refused(s, epoch, op)
  local at = get(s, 'epoch', 'op')
  if not at[1] then return 'gone' end
  if at[1] ~= epoch then return 'fenced' end
  if tonumber(op) <= tonumber(at[2]) then return 'overtaken' end
  redis.call('HSET', s.state, 'op', op)
end

-- Whether this is the worker that has the task now.
local function holds_lease(s, fence)
  local at = get(s, 'fence', 'worker')
  return at[1] == fence and at[2]
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

-- Adds what the log doesn't have yet of a worker's pieces, which ARGV holds in pairs from `from` on: visible or not, and the data. The
-- first of them is the lease's piece number `number`.
local function emit(s, number, from)
  local emitted = tonumber(get(s, 'emitted')[1])
  local task = get(s, 'task')[1]
  for i = from, #ARGV, 2 do
    if number > emitted then
      redis.call('XADD', s.log, '*', 'kind', 'piece', 'task', task, 'data', ARGV[i + 1])
      if ARGV[i] == '1' then redis.call('HSET', s.state, 'visible', 1) end
      emitted = number
    end
    number = number + 1
  end
  redis.call('HSET', s.state, 'emitted', emitted)
end

-- Ends the session's task: the only place that writes an end. `fence` is the worker's who says so, 0 is the queue's.
local function finish(s, how, data, fence)
  local at = get(s, 'task', 'entry', 'owner')
  redis.call('XADD', s.log, '*', 'kind', 'end', 'task', at[1], 'end', how, 'data', data)
  redis.call('HDEL', s.state, 'task', 'entry', 'payload', 'attempt', 'worker', 'emitted', 'visible', 'cancel')
  redis.call('HSET', s.state, 'last', at[1], 'settled', fence)
  unqueue(at[2])
  tell(at[3], s)
end

-- What becomes of a task whose worker is lost: the line. Whatever that worker still sends carries an old fence.
local function recover(s, attempts)
  local at = get(s, 'task', 'entry', 'visible', 'cancel', 'attempt')
  redis.call('HINCRBY', s.state, 'fence', 1)
  if at[4] then return finish(s, 'cancelled', '', 0) end
  if at[3] then return finish(s, 'lost', '', 0) end
  if tonumber(at[5]) >= tonumber(attempts) then return finish(s, 'given_up', '', 0) end
  unqueue(at[2])
  redis.call('HDEL', s.state, 'worker', 'emitted')
  redis.call('HSET', s.state, 'entry', queue(s, at[1]))
end
