import WebSocket from './index.js';

export import PreparedMessage = WebSocket.PreparedMessage;
export import Receiver = WebSocket.Receiver;
export import Sender = WebSocket.Sender;
export import Server = WebSocket.Server;
export import WebSocketServer = WebSocket.Server;
export { WebSocket };
export default WebSocket;
