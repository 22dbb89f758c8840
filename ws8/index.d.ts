// The types of ws 8 are those of @types/ws.

import WebSocket = require('ws');

export = WebSocket;
