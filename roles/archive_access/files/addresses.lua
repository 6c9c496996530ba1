-- SPDX-License-Identifier: GPL-3.0-or-later
-- IP addresses and networks, for kerio.lua. A file of functions without side effects.

local function binary(number, width)
  local digits = {}
  for place = width - 1, 0, -1 do digits[#digits + 1] = number >> place & 1 end
  return table.concat(digits)
end

local function groups(text)
  local found = {}
  for group in text:gmatch "%x+" do found[#found + 1] = binary(tonumber(group, 16), 16) end
  return found -- 16 bits each
end

-- The bits of an IP address as a text of 0 and 1; nil for what is none.
local function bits(address)
  address = address:gsub("%%.*$", ""):gsub("^::[fF][fF][fF][fF]:(%d+%.)", "%1")
  local octets = { address:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
  if octets[1] then
    for place, octet in ipairs(octets) do octets[place] = binary(tonumber(octet), 8) end
    return table.concat(octets)
  end
  if not address:find "^[%x:]*:[%x:]*$" then return nil end
  local head, tail = address:match "^(.-)::(.*)$"
  local first, last = groups(head or address), groups(tail or "")
  for _ = 1, 8 - #first - #last do first[#first + 1] = binary(0, 16) end
  local whole = table.concat(first) .. table.concat(last)
  return #whole == 128 and whole or nil
end

local function within(address, network)
  local base, length = network:match "^(.-)/(%d+)$"
  local own, wanted = bits(address), bits(base or network)
  local count = tonumber(length) or #(wanted or "")
  return own and wanted and #own == #wanted and own:sub(1, count) == wanted:sub(1, count)
end

return { bits = bits, within = within }
