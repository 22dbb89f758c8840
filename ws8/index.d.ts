// The types are those of @types/ws, since the API is that of ws 8.

import WebSocket = require('ws');

export = WebSocket;
