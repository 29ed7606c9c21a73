-- Neovim's own language client against `fieldgate lsp`, as an editor uses it. `tests/peers/run` starts it without a screen:
--
--     FIELDGATE_BIN=… nvim --headless --clean -c 'luafile tests/peers/editor.lua' DIR
--
-- with a copy of policies/demo in DIR. Prints a line for each thing that was tried; status 1 if one of them failed.

local dir = vim.fn.argv(0)
local failed = false

local function say(what, good, result)
  failed = failed or not good
  io.stdout:write(string.format('%s\t%s\t%s\n', good and 'ok' or 'FAILED', what, (result or ''):gsub('%s+', ' ')))
end

local function within(seconds, what)
  return vim.wait(seconds * 1000, what, 20)
end

local published = 0
local usual = vim.lsp.handlers['textDocument/publishDiagnostics']
local client = vim.lsp.start_client({
  name = 'fieldgate',
  cmd = { vim.env.FIELDGATE_BIN, 'lsp' },
  root_dir = dir,
  handlers = {
    ['textDocument/publishDiagnostics'] = function(...)
      published = published + 1
      return usual(...)
    end,
  },
})

local function open(name)
  vim.cmd('edit! ' .. dir .. '/' .. name)
  vim.lsp.buf_attach_client(0, client)
  within(20, function()
    return vim.lsp.buf_is_attached(0, client)
  end)
end

-- Puts the cursor on a text: line, and byte in the line, from 0.
local function go_to(text, offset)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, false)) do
    local at = line:find(text, 1, true)
    if at then
      vim.api.nvim_win_set_cursor(0, { number, at - 1 + (offset or 0) })
      return number - 1, at - 1
    end
  end
  error('there is no ' .. text)
end

local function complaint(holds)
  local found
  within(20, function()
    for _, one in ipairs(vim.diagnostic.get(0)) do
      if one.message:find(holds, 1, true) then
        found = one
        return true
      end
    end
    return false
  end)
  return found
end

local function quiet()
  return within(20, function()
    return published > 0 and #vim.diagnostic.get(0, { severity = vim.diagnostic.severity.ERROR }) == 0
  end)
end

local function completed()
  local params = vim.lsp.util.make_position_params()
  local answers = vim.lsp.buf_request_sync(0, 'textDocument/completion', params, 20000) or {}
  local names = {}
  for _, answer in pairs(answers) do
    for _, item in ipairs(answer.result and answer.result.items or {}) do
      names[#names + 1] = item.label
    end
  end
  return names
end

local function has(names, ...)
  for _, wanted in ipairs({ ... }) do
    if not vim.tbl_contains(names, wanted) then
      return false
    end
  end
  return true
end

local function some(names)
  return #names == 0 and 'nothing' or table.concat(vim.list_slice(names, 1, 6), ' ')
end

local function try()
  -- The roles of the policy.
  open('roles.yaml')
  local number, byte = go_to('[public]')
  byte = byte + 1
  vim.api.nvim_buf_set_text(0, number, byte, number, byte + #'public', { 'publik' })
  local found = complaint('publik')
  say('diagnostics', found and found.lnum == number and found.col == byte, found and found.message)

  -- A line of other scripts in front of it moves it by bytes, not by characters.
  vim.api.nvim_buf_set_text(0, number, 0, number, 0, { '# 销售 😀', '' })
  vim.api.nvim_buf_set_text(0, number, 0, number, 0, { '# 👩‍👩‍👧 é', '' })
  local moved = within(20, function()
    for _, one in ipairs(vim.diagnostic.get(0)) do
      if one.lnum == number + 2 and one.col == byte then
        return true
      end
    end
    return false
  end)
  say('diagnostics behind other scripts', moved, 'line ' .. number + 3)
  vim.api.nvim_buf_set_lines(0, number, number + 2, false, {})
  vim.api.nvim_buf_set_text(0, number, byte, number, byte + #'publik', { 'public' })
  say('diagnostics go when it is mended', quiet(), '')

  go_to('[public]', 4)
  local names = completed()
  say('completion of labels and fields', has(names, 'public', 'contact', 'financial'), some(names))
  go_to('actions:', 2)
  names = completed()
  say('completion of keys', has(names, 'records') or has(names, 'actions'), some(names))

  go_to('[public]', 2)
  vim.lsp.buf.hover()
  local float
  within(20, function()
    for _, window in ipairs(vim.api.nvim_list_wins()) do
      if vim.api.nvim_win_get_config(window).relative ~= '' then
        float = table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false), ' ')
        return true
      end
    end
    return false
  end)
  say('hover: who may see a label', float and float:find('sales', 1, true) ~= nil, float and float:sub(1, 70))

  go_to('mask: { phone: phone', #'mask: { phone: p')
  vim.lsp.buf.definition()
  local there = within(20, function()
    local line = vim.api.nvim_get_current_line()
    return line:find('^%s*phone:') ~= nil and not line:find('mask:', 1, true)
  end)
  say('definition of a mask', there, vim.fn.expand('%:t') .. ':' .. vim.fn.line('.'))

  -- The deployment.
  open('fieldgate.yaml')
  number = go_to('listeners:')
  vim.api.nvim_buf_set_lines(0, number, number, false, { 'bounds: { heads: 32KiB }' })
  found = complaint('heads')
  say('diagnostics in fieldgate.yaml', found and found.lnum == number, found and found.message)
  vim.api.nvim_buf_set_lines(0, number, number + 1, false, { 'bounds: {  }' })
  vim.api.nvim_win_set_cursor(0, { number + 1, 10 })
  names = completed()
  say('completion in fieldgate.yaml', has(names, 'connections', 'body_time'), some(names))
  vim.api.nvim_buf_set_lines(0, number, number + 1, false, {})
  say('diagnostics go there, too', quiet(), '')

  vim.lsp.stop_client(client)
  local ended = within(20, function()
    return vim.lsp.client_is_stopped(client)
  end)
  say('shutdown', ended, '')
end

local done, trouble = pcall(try)
if not done then
  say('the session', false, tostring(trouble))
end
vim.cmd(failed and 'cquit 1' or 'qall!')
