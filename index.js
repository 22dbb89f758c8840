'use strict';

const WebSocket = require('./lib/ws2016/WebSocket');

WebSocket.Server = require('./lib/ws2016/WebSocketServer');
WebSocket.WebSocket = WebSocket;
WebSocket.WebSocketServer = WebSocket.Server;
WebSocket.PreparedMessage = require('./lib/PreparedMessage');
WebSocket.Receiver = require('./lib/ws2016/Receiver');
WebSocket.Sender = require('./lib/ws2016/Sender');

module.exports = WebSocket;
