import WebSocket from './index.js';

export const { Receiver, Sender, Server } = WebSocket;
export { Server as WebSocketServer, WebSocket };
export default WebSocket;
