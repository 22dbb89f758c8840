import WebSocket from './index.js';

export const { PreparedMessage, Receiver, Sender, Server } = WebSocket;
export { Server as WebSocketServer, WebSocket };
export default WebSocket;
