'use strict';

// The descriptors that a process may have open (`ulimit -n`). A connection takes one or
// two of the server, and one of the load generator.

const { spawnSync } = require('child_process');

/** Raises the soft limit of a shell to its hard limit. */
const RAISE = 'ulimit -Sn "$(ulimit -Hn)" 2>/dev/null';

/** How many descriptors are left free for other purposes. */
const RESERVE = 500;

const shell = spawnSync('sh', ['-c', `${RAISE}; ulimit -n`]);

/** Whether there is a limit that can be raised, which is so except on Windows. */
const canRaise = shell.status === 0;

/** The limit of a process that is started by `raised`; NaN if there is none. */
const limit = canRaise ? parseInt(shell.stdout, 10) : NaN;

/** Changes a command so that it runs with the highest limit. */
function raised({ command, args, env }) {
  if (!canRaise) return { command, args, env };
  const script = `${RAISE}; exec "$0" "$@"`;
  return { command: 'sh', args: ['-c', script, command, ...args], env };
}

/**
 * Returns `wanted`, or how many connections a server can have with two descriptors for
 * each of them if these are fewer.
 */
function connections(wanted) {
  if (Number.isNaN(limit)) return wanted;
  const most = Math.floor((limit - RESERVE) / 2 / 100) * 100;
  return Math.min(wanted, Math.max(most, 100));
}

module.exports = { connections, limit, raised };
