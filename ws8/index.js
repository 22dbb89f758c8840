'use strict';

// The API of ws 8. It shares its engine with the API of ws as of 2016 in ../index.js.

const WebSocket = require('../lib/ws8/websocket');

WebSocket.createWebSocketStream = require('../lib/ws8/stream');
WebSocket.extension = require('../lib/ws8/extension');
WebSocket.PerMessageDeflate = require('../lib/ws8/permessage-deflate');
WebSocket.PreparedMessage = require('../lib/PreparedMessage');
WebSocket.Receiver = require('../lib/ws8/receiver');
WebSocket.Sender = require('../lib/ws8/sender');
WebSocket.Server = require('../lib/ws8/websocket-server');
WebSocket.subprotocol = require('../lib/ws8/subprotocol');
WebSocket.WebSocket = WebSocket;
WebSocket.WebSocketServer = WebSocket.Server;

module.exports = WebSocket;
