// The types are those of @types/ws, since the API is that of ws 8, with what only oxws has.

import { ClientRequestArgs, IncomingMessage } from 'http';
import Base = require('ws');
import Of2016 = require('../index');

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

  /**
   * Describes how connections are carried, for debugging.
   *
   * @param ws a connection; by default, all connections of the engine
   */
  static diagnostics(ws?: WebSocket): WebSocket.Diagnostics;

  /**
   * Sends a message, or a fragment of one. A PreparedMessage is framed and compressed only
   * once; with `options`, it is sent as its data would be.
   */
  send(
    data: WebSocket.SendData | WebSocket.PreparedMessage,
    cb?: (err?: Error) => void,
  ): void;
  send(
    data: WebSocket.SendData | WebSocket.PreparedMessage,
    options: WebSocket.SendOptions | undefined,
    cb?: (err?: Error) => void,
  ): void;
}

type WebSocketClass = typeof WebSocket;
type WebSocketInstance = WebSocket;

declare namespace WebSocket {
  /** The data of `send`. */
  type SendData = Parameters<Base['send']>[0];
  /** The options of `send`. */
  type SendOptions = Parameters<Base['send']>[1];

  export import Diagnostics = Of2016.Diagnostics;
  export import PreparedMessage = Of2016.PreparedMessage;
  export import PreparedData = Of2016.PreparedData;
  export import PreparedOptions = Of2016.PreparedOptions;

  /** The options of `broadcast`. */
  interface BroadcastOptions<
    T extends typeof Base = WebSocketClass,
  > extends PreparedOptions {
    /**
     * Called with each open client. The message is sent to those for which it returns
     * true. If it throws, nothing is sent.
     */
    filter?: ((client: InstanceType<T>) => boolean) | undefined;
  }

  interface Backpressure {
    /**
     * When more than this number of bytes is queued, `writableNeedDrain` is true until
     * 'drain': an integer of at least 0; 65,536 by default. The constructors throw a
     * RangeError for other values.
     */
    highWaterMark?: number | undefined;
  }

  interface PerMessageDeflateOptions extends Base.PerMessageDeflateOptions {
    /**
     * The maximum memory, in bytes, of the compression contexts that connections keep
     * between messages: an integer from 0 to 2^53 - 1; 33554432 (32 MiB) by default. All
     * connections of a thread with the same value share it.
     */
    memoryBudget?: number | undefined;
  }

  interface ClientOptions extends Base.ClientOptions, Backpressure {
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
  }

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
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
  }

  class Server<
    T extends typeof Base = WebSocketClass,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends Base.Server<T, U> {
    constructor(options?: ServerOptions<T, U>, callback?: () => void);

    /**
     * Sends a message to the open clients. It is framed once, and compressed once.
     *
     * @param callback called once with null and the number of clients whose message was
     *   handed to the operating system, after the connections of all others have ended
     * @returns the number of clients to which the message is sent
     * @throws {Error} if `clientTracking` is false
     * @throws {TypeError} if `data` is of another type
     */
    broadcast(
      data: PreparedData | PreparedMessage,
      callback?: (error: null, count: number) => void,
    ): number;
    broadcast(
      data: PreparedData | PreparedMessage,
      options: BroadcastOptions<T> | undefined,
      callback?: (error: null, count: number) => void,
    ): number;
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
  export import RawData = Base.RawData;
  export import VerifyClientCallbackAsync = Base.VerifyClientCallbackAsync;
  export import VerifyClientCallbackSync = Base.VerifyClientCallbackSync;
  export import createWebSocketStream = Base.createWebSocketStream;
}

export = WebSocket;
