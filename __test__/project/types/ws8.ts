// Compiled, never run: the types of ws 8, and the options that only oxws has.

import { ServerOptions, WebSocketServer } from '../../../ws8';

const options: ServerOptions & { reusePort?: boolean } = {
  port: 0,
  reusePort: true,
};
new WebSocketServer(options);
