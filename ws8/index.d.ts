// The types are those of @types/ws, since the API is that of ws 8, with what only oxws has.

import { ClientRequestArgs, IncomingMessage } from 'http';
import Base = require('ws');

declare class WebSocket extends Base {
  constructor(address: null);
  constructor(
    address: string | URL,
    options?: WebSocket.ClientOptions | ClientRequestArgs,
  );
  constructor(
    address: string | URL,
    protocols?: string | string[],
    options?: WebSocket.ClientOptions | ClientRequestArgs,
  );

  /**
   * Whether 'drain' follows: more than `highWaterMark` bytes were queued, as
   * `bufferedAmount` counts them, and some still are. 'drain' is emitted when all messages
   * are handed to the operating system, unless the connection ends first.
   */
  readonly writableNeedDrain: boolean;
}

type WebSocketClass = typeof WebSocket;
type WebSocketInstance = WebSocket;

declare namespace WebSocket {
  interface Backpressure {
    /**
     * When more than this number of bytes is queued, `writableNeedDrain` is true until
     * 'drain': an integer of at least 0; 65,536 by default. The constructors throw a
     * RangeError for other values.
     */
    highWaterMark?: number | undefined;
  }

  interface ClientOptions extends Base.ClientOptions, Backpressure {}

  interface ServerOptions<
    T extends typeof Base = WebSocketClass,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  >
    extends Base.ServerOptions<T, U>, Backpressure {
    /**
     * Whether other servers may listen on the same port (`SO_REUSEPORT`), in other threads
     * or processes; false by default. All of them need the option.
     */
    reusePort?: boolean | undefined;
  }

  class Server<
    T extends typeof Base = WebSocketClass,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends Base.Server<T, U> {
    constructor(options?: ServerOptions<T, U>, callback?: () => void);
  }

  const WebSocket: WebSocketClass;
  type WebSocket = WebSocketInstance;
  const WebSocketServer: typeof Server;
  type WebSocketServer = Server;

  export import AddressInfo = Base.AddressInfo;
  export import CertMeta = Base.CertMeta;
  export import CloseEvent = Base.CloseEvent;
  export import Data = Base.Data;
  export import ErrorEvent = Base.ErrorEvent;
  export import Event = Base.Event;
  export import EventListenerOptions = Base.EventListenerOptions;
  export import FinishRequestCallback = Base.FinishRequestCallback;
  export import MessageEvent = Base.MessageEvent;
  export import PerMessageDeflateOptions = Base.PerMessageDeflateOptions;
  export import RawData = Base.RawData;
  export import VerifyClientCallbackAsync = Base.VerifyClientCallbackAsync;
  export import VerifyClientCallbackSync = Base.VerifyClientCallbackSync;
  export import createWebSocketStream = Base.createWebSocketStream;
}

export = WebSocket;
