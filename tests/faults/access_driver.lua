-- SPDX-License-Identifier: GPL-3.0-or-later
-- Stands for Dovecot: loads the script of the first argument, asks it about each line of the input (user, address, password in
-- hexadecimal digits), and answers with what Dovecot would make of it. What the script logs goes to the error output. The second
-- argument are seconds that pass before anything is written down, so that processes surely come between each other.

local RESULTS = { OK = "ok", PASSWORD_MISMATCH = "refused", USER_UNKNOWN = "refused", INTERNAL_FAILURE = "unavailable" }

-- Every name of example.com is this machine.
local methods = getmetatable(require("socket").tcp()).__index
local connect = methods.connect
methods.connect = function(link, host, port) return connect(link, host:find "example%.com$" and "127.0.0.1" or host, port) end

local open = io.open
io.open = function(path, mode)
  if mode == "a" then require("socket").sleep(tonumber(arg[2])) end
  return open(path, mode)
end

local function log(text) io.stderr:write(text, "\n") end

dovecot = { auth = {}, i_info = log, i_warning = log }
for name in pairs(RESULTS) do dovecot.auth["PASSDB_RESULT_" .. name] = name end

dofile(arg[1])

for line in io.lines() do
  local user, address, digits = line:match "^(%S+) (%S+) (%x*)$"
  local password = digits:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
  io.stdout:write(RESULTS[auth_password_verify({ user = user, remote_ip = address, session = "s1" }, password)], "\n")
  io.stdout:flush()
end
