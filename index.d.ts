/// <reference types="node" />

import { EventEmitter } from 'events';
import {
  Agent,
  IncomingMessage,
  ClientRequest,
  Server as HttpServer,
} from 'http';
import { Server as HttpsServer } from 'https';
import { Duplex, Writable } from 'stream';
import { PeerCertificate } from 'tls';

/** A WebSocket connection of a client or of a server. */
declare class WebSocket extends EventEmitter {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;

  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  /**
   * Creates a client and starts the opening handshake. When it succeeds, 'open' is
   * emitted. When it fails, 'error' and 'close' are emitted.
   *
   * @param address a `ws:`, `wss:`, `http:` or `https:` URL; or `ws+unix://` and the
   *   absolute path of a Unix domain socket. `wss:` and `https:` use TLS
   * @param protocols the subprotocols to offer, in order of preference; none by default
   * @throws {Error} if the address is invalid, or if `protocolVersion` or an option of
   *   `perMessageDeflate` is out of range
   * @throws {RangeError} if `highWaterMark` is out of range
   */
  constructor(
    address: string | URL | { href: string },
    protocols?: string | string[] | null,
    options?: WebSocket.ClientOptions,
  );
  constructor(
    address: string | URL | { href: string },
    options: WebSocket.ClientOptions,
  );
  /**
   * Creates the connection of a server for an upgrade request. The caller has already
   * sent the 101 response. `WebSocket.Server` does all of this.
   *
   * @param upgraded the request, its socket, and the bytes read after the request
   */
  constructor(
    upgraded: [request: IncomingMessage, socket: Duplex, head: Buffer],
    options?: WebSocket.AcceptedOptions,
  );

  /**
   * Describes how connections are carried, for debugging.
   *
   * @param ws a connection; by default, all connections of the engine
   */
  static diagnostics(ws?: WebSocket): WebSocket.Diagnostics;

  /**
   * The type of binary data passed to `onmessage` and to listeners added by
   * `addEventListener`; `'nodebuffer'` by default. The 'message' event always has a
   * Buffer.
   *
   * @throws {SyntaxError} when set to another value than `'nodebuffer'` and
   *   `'arraybuffer'`
   */
  binaryType: WebSocket.BinaryType;
  /** The number of bytes sent but not yet handed to the operating system. */
  readonly bufferedAmount: number;
  /**
   * Whether 'drain' follows: more than `highWaterMark` bytes were queued, as
   * `bufferedAmount` counts them, and some still are.
   */
  readonly writableNeedDrain: boolean;
  /** The number of bytes received after the handshake, as they are on the wire. */
  bytesReceived: number;
  /** The negotiated extensions, by name; empty if there are none. */
  extensions: Record<string, WebSocket.PerMessageDeflate>;
  /**
   * The option `maxPayload`, in bytes; 0 or undefined for no limit. A change after 'open'
   * has no effect.
   */
  maxPayload?: number;
  /** The negotiated subprotocol; undefined if there is none. */
  protocol?: string;
  /** The version of the WebSocket protocol: 13 is RFC 6455, 8 is a draft of it. */
  protocolVersion: 8 | 13;
  /** The state: `CONNECTING`, `OPEN`, `CLOSING` or `CLOSED`. */
  readyState: 0 | 1 | 2 | 3;
  /** The upgrade request. Only defined on a server. */
  upgradeReq: IncomingMessage;
  /** The address that was given to the constructor. Only defined on a client. */
  url: string;

  // The event interface of browsers. Setting one of these properties replaces all
  // listeners of the event, also those added by `on`.
  onopen: ((event: WebSocket.OpenEvent) => void) | null | undefined;
  onerror: ((event: WebSocket.ErrorEvent) => void) | null | undefined;
  onclose: ((event: WebSocket.CloseEvent) => void) | null | undefined;
  onmessage: ((event: WebSocket.MessageEvent) => void) | null | undefined;

  /**
   * Starts the closing handshake (RFC 6455, 7.1.2). If it takes longer than 30 seconds,
   * the socket is destroyed. Before 'open', the close frame is sent after the opening
   * handshake. Ends a pause: messages that are queued or received later are dropped.
   *
   * If the code or the reason is invalid, 'error' is emitted and the connection stays
   * open.
   *
   * @param code 1000 to 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455, 7.4); 1000 by
   *   default
   * @param data the reason, at most 123 bytes of UTF-8; empty by default
   */
  close(code?: number, data?: string | Buffer): void;
  /**
   * Ends the connection at once, without a closing handshake. Ends a pause, as `close`.
   * The socket is destroyed if it has not closed after 30 seconds.
   */
  terminate(): void;

  /**
   * Stops reading. No events for received data are emitted until `resume`: they are
   * queued, and so is the end of the connection if an event is queued before it. A
   * failure of the connection is not delayed: it drops the queued events.
   *
   * @throws {Error} if the connection is not open
   */
  pause(): void;
  /**
   * Continues reading. Queued events are emitted from the next tick on.
   *
   * @throws {Error} if the connection is not open
   */
  resume(): void;

  /**
   * Sends a ping (RFC 6455, 5.5.2). The other end answers with a pong.
   *
   * @param data at most 125 bytes; empty by default
   * @param dontFailWhenClosed if true, do nothing if the connection is not open; false by
   *   default
   * @throws {Error} if the connection is not open
   * @throws {RangeError} if the data is longer than 125 bytes
   */
  ping(
    data?: WebSocket.Data,
    options?: WebSocket.ControlOptions,
    dontFailWhenClosed?: boolean,
  ): void;
  /**
   * Sends a pong (RFC 6455, 5.5.3). The arguments are those of `ping`. Pings of the other
   * end are answered automatically.
   *
   * @throws {Error} if the connection is not open
   * @throws {RangeError} if the data is longer than 125 bytes
   */
  pong(
    data?: WebSocket.Data,
    options?: WebSocket.ControlOptions,
    dontFailWhenClosed?: boolean,
  ): void;

  /**
   * Sends a message, or a fragment of one. The memory of `data` may be reused when this
   * returns.
   *
   * @param data a string or a number is sent as text, an ArrayBuffer, a SharedArrayBuffer
   *   or a view as binary data; see also the option `binary`. By default, the message is
   *   empty. A PreparedMessage is framed and compressed only once; with `options`, it is
   *   sent as its data would be
   * @param cb called with null when the data is handed to the operating system, or with
   *   an error. If the connection ends first, the error's `code` is
   *   `'ERR_OXWS_NOT_SENT'`, and its `cause` is the error with which the connection
   *   failed, if it did
   * @throws {Error} if the connection is not open and there is no callback
   * @throws {TypeError} if the data cannot be converted to a Buffer
   */
  send(
    data?: WebSocket.Data | WebSocket.PreparedMessage,
    cb?: (error?: Error | null) => void,
  ): void;
  send(
    data: WebSocket.Data | WebSocket.PreparedMessage,
    options: WebSocket.SendOptions | undefined,
    cb?: (error?: Error | null) => void,
  ): void;

  /**
   * Sends a message in fragments. Messages that are sent meanwhile are queued until the
   * last fragment is sent.
   *
   * @param callback called on the next tick, and again on the tick after each fragment
   *   but the last
   * @throws {Error} if the callback is missing
   */
  stream(callback: WebSocket.StreamCallback): void;
  stream(
    options: WebSocket.StreamOptions | undefined,
    callback: WebSocket.StreamCallback,
  ): void;

  /** Adds a listener that is called with an event object, as in browsers. */
  addEventListener(
    method: 'open',
    listener: (event: WebSocket.OpenEvent) => void,
  ): void;
  addEventListener(
    method: 'error',
    listener: (event: WebSocket.ErrorEvent) => void,
  ): void;
  addEventListener(
    method: 'close',
    listener: (event: WebSocket.CloseEvent) => void,
  ): void;
  addEventListener(
    method: 'message',
    listener: (event: WebSocket.MessageEvent) => void,
  ): void;
  addEventListener(method: string, listener: (...args: any[]) => void): void;
  /** Removes a listener that was added by `addEventListener` or by `on`. */
  removeEventListener(method: string, listener: (...args: any[]) => void): void;

  on<E extends keyof WebSocket.Events>(
    event: E,
    listener: (this: WebSocket, ...args: WebSocket.Events[E]) => void,
  ): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once<E extends keyof WebSocket.Events>(
    event: E,
    listener: (this: WebSocket, ...args: WebSocket.Events[E]) => void,
  ): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

type WebSocketClass = typeof WebSocket;
type WebSocketInstance = WebSocket;

declare namespace WebSocket {
  // Names that ws has since version 8, for `import { WebSocketServer } from 'oxws'`.
  const WebSocket: WebSocketClass;
  type WebSocket = WebSocketInstance;
  const WebSocketServer: typeof Server;
  type WebSocketServer = Server;

  /**
   * The data that can be sent. A number is sent in decimal, an array as bytes. `null`,
   * `undefined` and the number 0 are sent as an empty message.
   */
  type Data =
    | string
    | number
    | ArrayBufferLike
    | ArrayBufferView
    | number[]
    | null
    | undefined;

  /** `'nodebuffer'` for Buffers, `'arraybuffer'` for ArrayBuffers. */
  type BinaryType = 'nodebuffer' | 'arraybuffer';

  /** How a message was received. */
  interface Flags {
    /** Whether the message is binary; always true for pings and pongs. */
    binary: boolean;
    /** Whether its frames were masked. */
    masked: boolean;
  }

  /** The events and the arguments of their listeners. */
  interface Events {
    /** Emitted when the opening handshake has succeeded. */
    open: [];
    /** Emitted for each message. `data` is a string for text, otherwise a Buffer. */
    message: [data: any, flags: Flags];
    /** Emitted for each ping, which is answered automatically. */
    ping: [data: Buffer, flags: Flags];
    /** Emitted for each pong. */
    pong: [data: Buffer, flags: Flags];
    /**
     * Emitted when all messages are handed to the operating system, after more than
     * `highWaterMark` bytes were queued. Not emitted if the connection ends first.
     */
    drain: [];
    /**
     * Emitted once, as the last event, when the connection has ended. `code` and
     * `message` are the code and the reason of the close frame that started the closing
     * handshake: that of the other end, or that of this end if `close` was called first.
     * The code is 1000 if the frame of the other end has none. It is 1006 if no close
     * frame was received (RFC 6455, 7.1.5).
     */
    close: [code: number, message: string];
    /**
     * Emitted when the opening handshake fails, when `close` is called with an invalid
     * code or reason, and when the other end violates the protocol or a limit. Errors
     * of the socket of an open connection are not emitted.
     *
     * As with any EventEmitter, the error is thrown if there is no listener. Only
     * violations are not: without a listener, 'error' is not emitted for them.
     *
     * The error of a violation has a `code`. The connection is closed with the close code
     * (RFC 6455, 7.4.1) given here:
     *
     * - 1002: `WS_ERR_UNEXPECTED_RSV_1`, `WS_ERR_UNEXPECTED_RSV_2_3`,
     *   `WS_ERR_INVALID_OPCODE`, `WS_ERR_EXPECTED_FIN`,
     *   `WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH`, `WS_ERR_EXPECTED_MASK`,
     *   `WS_ERR_UNEXPECTED_MASK`, `WS_ERR_INVALID_CLOSE_CODE`
     * - 1007: `WS_ERR_INVALID_UTF8`, `Z_DATA_ERROR` (invalid compressed data)
     * - 1008: `WS_ERR_TOO_MANY_BUFFERED_PARTS` (`maxFragments`)
     * - 1009: `WS_ERR_UNSUPPORTED_MESSAGE_LENGTH` (`maxPayload`)
     *
     * `ERR_OXWS_INTERNAL` is an internal error, with close code 1011.
     */
    error: [error: Error];
    /**
     * Emitted on a client instead of 'error' if the server's response is not 101 and
     * there is a listener. The listener has to consume the response or destroy the
     * request. 'close' follows with code 1006.
     */
    'unexpected-response': [request: ClientRequest, response: IncomingMessage];
  }

  /** The event object of 'open', for `onopen` and `addEventListener`. */
  interface OpenEvent {
    type: 'open';
    target: WebSocket;
  }

  /** The event object of 'error': the error itself, with two more properties. */
  interface ErrorEvent extends Error {
    type: 'error';
    target: WebSocket;
  }

  /** The event object of 'close'. */
  interface CloseEvent {
    type: 'close';
    target: WebSocket;
    /** The close code, as in the 'close' event. */
    code: number;
    /** The reason, as `message` in the 'close' event. */
    reason: string;
    /** Whether the code is 1000. */
    wasClean: boolean;
  }

  /** The event object of 'message'. */
  interface MessageEvent {
    type: 'message';
    target: WebSocket;
    /** A string for text, otherwise a Buffer or an ArrayBuffer, see `binaryType`. */
    data: any;
    /** Whether the message is binary. */
    binary: boolean;
  }

  /** The result of `WebSocket.diagnostics`. */
  interface Diagnostics {
    /**
     * `'native'` for the engine, `'stream'` for a Node.js stream; null if the
     * connection is not open or, for all connections, if the engine was never started.
     */
    transport: 'native' | 'stream' | null;
    /** Where the engine runs: in the event loop or on its own thread; or null. */
    host: 'inline' | 'thread' | null;
    /**
     * For a connection of a server, who has accepted it: the engine, or Node.js. For all
     * connections, `'engine'` if the engine listens on a port. Otherwise null.
     */
    listener: 'engine' | 'node' | null;
    /** The number of connections that are carried by the engine, or 1 or 0 for one. */
    connections: number;
    /** The number of bytes sent but not yet handed to the operating system. */
    queuedBytes: number;
  }

  /** The options of `ping` and `pong`. */
  interface ControlOptions {
    /** Whether to mask the frame; true by default for a client, false for a server. */
    mask?: boolean;
    /** Accepted for compatibility, without effect. */
    binary?: boolean;
  }

  /** The options of `stream`. */
  interface StreamOptions {
    /** Whether to mask the frames; true by default for a client, false for a server. */
    mask?: boolean;
    /** Whether the message is binary; false by default. */
    binary?: boolean;
    /**
     * Whether to compress the message if permessage-deflate was negotiated; true by
     * default.
     */
    compress?: boolean;
  }

  /** The options of `send`. */
  interface SendOptions {
    /**
     * Whether to compress the message if permessage-deflate was negotiated and the
     * message is not shorter than `threshold`; true by default.
     */
    compress?: boolean;
    /**
     * Whether the message is binary; by default, true for an ArrayBuffer, a
     * SharedArrayBuffer or a view, and false for other data.
     */
    binary?: boolean;
    /** Whether to mask the frame; true by default for a client, false for a server. */
    mask?: boolean;
    /** Whether this is the last fragment of the message; true by default. */
    fin?: boolean;
  }

  /**
   * The callback of `stream`. `error` is null, or the reason why nothing can be sent.
   * `send` sends the next fragment, which is the last one if `final` is true.
   */
  type StreamCallback = (
    error: Error | null,
    send: (data: Data, final?: boolean) => void,
  ) => void;

  /**
   * The options of permessage-deflate (RFC 7692). If an option is out of range, the
   * constructor of the client or the server throws an Error.
   *
   * The window of a sender is given as the base-2 logarithm of its size in bytes, 8 to
   * 15. If no window is negotiated, a sender uses 13. With many connections this is
   * several times as fast as 15, and the compressed size differs by a few percent.
   */
  interface PerMessageDeflateOptions {
    /**
     * Whether the server resets its compression context after each message (RFC 7692,
     * 7.1.1.1).
     *
     * - Server: true resets it; false refuses offers that request it; by default, the
     *   offer decides.
     * - Client: true requests it.
     */
    serverNoContextTakeover?: boolean;
    /**
     * Whether the client resets its compression context after each message (RFC 7692,
     * 7.1.1.2).
     *
     * - Server: true requests it; false does not request it; by default, the offer
     *   decides.
     * - Client: true offers it; false refuses responses that request it; by default, the
     *   response decides.
     */
    clientNoContextTakeover?: boolean;
    /**
     * The window of the server, 8 to 15 (RFC 7692, 7.1.2.1).
     *
     * - Server: a number is the window that it uses, and offers that request a smaller
     *   one are refused; false refuses offers with this parameter; by default, and with
     *   true, the offer decides.
     * - Client: a number requests at most this window.
     */
    serverMaxWindowBits?: number | boolean;
    /**
     * The window of the client, 8 to 15 (RFC 7692, 7.1.2.2).
     *
     * - Server: a number is the maximum window of the client, and offers without this
     *   parameter are refused; false does not limit the window; by default, and with
     *   true, the offer decides.
     * - Client: a number offers this window, and responses without this parameter or
     *   with a larger window are refused; false refuses responses with this parameter;
     *   by default, and with true, the response decides.
     */
    clientMaxWindowBits?: number | boolean;
    /** The memory for compression, as in zlib: 1 to 9; 8 by default. */
    memLevel?: number;
    /** The compression level: 0 (no compression) to 9 (smallest); 7 by default. */
    level?: number;
    /**
     * The maximum memory, in bytes, of the compression contexts that connections keep
     * between messages: an integer from 0 to 2^53 - 1; 33554432 (32 MiB) by default. All
     * connections of a thread with the same value share it. Six sevenths are for
     * compression, one seventh is for decompression. One context of each kind is kept
     * even if it is larger.
     *
     * When it is exceeded, the contexts that have not been used for the longest time are
     * freed. Such a connection compresses its next message without the context of those
     * before (RFC 7692, 7.1.1), and keeps the text that the peer may refer to, at most
     * 32 KiB.
     */
    memoryBudget?: number;
    /**
     * The minimum length, in bytes, of messages that are compressed; 1024 by default.
     * For a message in fragments, the length of the first fragment counts.
     */
    threshold?: number;
  }

  /** Limits for received messages. The documentation of ws does not have them. */
  interface Limits {
    /**
     * The maximum length of a message in bytes; for a compressed message also the maximum
     * of its decompressed length. A longer message closes the connection with 1009. The
     * default is 100 MiB for a server and 256 MiB for a client. 0 is for no limit but the
     * maximum length of strings and Buffers.
     */
    maxPayload?: number;
    /**
     * The maximum number of fragments of a message; 1,048,576 by default and for 0. A
     * message with more fragments closes the connection with 1008.
     */
    maxFragments?: number;
    /**
     * Whether frames of a client have to be masked, and frames of a server must not be
     * (RFC 6455, 5.1). Other frames then close the connection with 1002. False by
     * default.
     */
    strictMasking?: boolean;
  }

  /** An option for sending, which the documentation of ws does not have. */
  interface Backpressure {
    /**
     * When more than this number of bytes is queued, `writableNeedDrain` is true until
     * 'drain': an integer of at least 0; 65,536 by default. The constructors throw a
     * RangeError for other values.
     */
    highWaterMark?: number;
  }

  /** The options of a client. */
  interface ClientOptions extends Limits, Backpressure {
    /** The subprotocol to offer, instead of the argument `protocols`. */
    protocol?: string;
    /** The agent of the request, see `http.request`; Node's default agent by default. */
    agent?: Agent;
    /** Additional headers of the request. */
    headers?: Record<string, string | string[] | number>;
    /**
     * The protocol version: 13 (RFC 6455) or 8 (a draft); 13 by default. The constructor
     * throws an Error for other values.
     */
    protocolVersion?: 8 | 13;
    /** The value of the `Host` header; by default, the host and port of the address. */
    host?: string;
    /** The value of the `Origin` header (`Sec-WebSocket-Origin` in version 8). */
    origin?: string;

    // The following options configure TLS, see `tls.connect`. If one is given and `agent`
    // is not, the request gets its own agent.

    /** The private key and certificate of the client, in PFX or PKCS12. */
    pfx?: string | Buffer;
    /** The private key of the client, in PEM. */
    key?: string | Buffer | Array<string | Buffer>;
    /** The passphrase of `key` or `pfx`. */
    passphrase?: string;
    /** The certificate of the client, in PEM. */
    cert?: string | Buffer | Array<string | Buffer>;
    /** The trusted certificate authorities, in PEM; by default, those of Node.js. */
    ca?: string | Buffer | Array<string | Buffer>;
    /** The cipher suites; by default, those of Node.js. */
    ciphers?: string;
    /** Whether a server without a valid certificate is refused; true by default. */
    rejectUnauthorized?: boolean;
    /** Checks the server's certificate; `tls.checkServerIdentity` by default. */
    checkServerIdentity?: (
      host: string,
      certificate: PeerCertificate,
    ) => Error | undefined;

    /** Whether to offer permessage-deflate, or its options; true by default. */
    perMessageDeflate?: boolean | PerMessageDeflateOptions;
    /** The local address to connect from. */
    localAddress?: string;
    /**
     * The maximum duration of the opening handshake in milliseconds; when it is exceeded,
     * 'error' is emitted. By default, and with 0, there is no limit.
     */
    handshakeTimeout?: number;
  }

  /**
   * The options for a connection created from an upgrade request. Here `maxPayload` has
   * no limit by default.
   */
  interface AcceptedOptions extends Limits, Backpressure {
    /** The negotiated extensions, by name; none by default. */
    extensions?: Record<string, PerMessageDeflate>;
    /** The negotiated subprotocol; none by default. */
    protocol?: string;
    /** The protocol version; that of the request by default. */
    protocolVersion?: 8 | 13;
  }

  /** What `verifyClient` is called with. */
  interface VerifyClientInfo {
    /** The value of the `Origin` header (`Sec-WebSocket-Origin` in version 8). */
    origin: string | undefined;
    /** The upgrade request. */
    req: IncomingMessage;
    /** Whether the connection uses TLS. */
    secure: boolean;
  }

  /**
   * Decides whether to accept a handshake. A function with one parameter returns the
   * decision; if it is false, the request is refused with 401. A function with two
   * parameters calls `cb` with it; the request is refused with the status `code`, 401
   * by default, and the reason phrase `name`, by default the standard phrase of the
   * status. If the function throws, the request is refused with 500 and the error is
   * rethrown.
   */
  type VerifyClient =
    | ((info: VerifyClientInfo) => boolean)
    | ((
        info: VerifyClientInfo,
        cb: (result: boolean, code?: number, name?: string) => void,
      ) => void);

  /** The options of a server. */
  interface ServerOptions extends Limits, Backpressure {
    /**
     * The address to listen on, with `port`; by default, all addresses of the machine.
     */
    host?: string;
    /** The port to listen on, 0 to 65535; 0 for a free port. Creates an HTTP server. */
    port?: number;
    /** The maximum length of the queue of pending connections; 511 by default. */
    backlog?: number;
    /**
     * Whether other servers may listen on the same port (`SO_REUSEPORT`), in other threads
     * or processes; false by default. All of them need the option. Linux balances the
     * connections among them. Emits `'error'` with the code `ENOTSUP` on Windows.
     */
    reusePort?: boolean;
    /** The HTTP or HTTPS server whose upgrade requests are handled. */
    server?: HttpServer | HttpsServer;
    /** Decides whether to accept a handshake; by default, all are accepted. */
    verifyClient?: VerifyClient;
    /**
     * Selects the subprotocol, given those that the client offers; `['']` if it offers
     * none. If it returns false, the request is refused with 401. Another falsy value
     * means no subprotocol. If it throws, or returns a string that is not valid in a
     * header, the request is refused with 500. By default, the first subprotocol offered
     * is selected.
     */
    handleProtocols?: (
      protocols: string[],
    ) => string | false | null | undefined;
    /**
     * The path that requests need to have, without the query. Other requests are refused
     * with 400. By default, all paths are accepted.
     */
    path?: string;
    /** Whether the program calls `handleUpgrade` itself; false by default. */
    noServer?: boolean;
    /** Whether to keep the open connections in `clients`; true by default. */
    clientTracking?: boolean;
    /** Whether to accept permessage-deflate, or its options; true by default. */
    perMessageDeflate?: boolean | PerMessageDeflateOptions;
  }

  /** The events and the arguments of their listeners. */
  interface ServerEvents {
    /**
     * Emitted for each new connection. An event named after the URL of the request,
     * such as `'connection/chat'`, is emitted before it.
     */
    connection: [socket: WebSocket];
    /** Emitted for an error of the HTTP server. */
    error: [error: Error];
    /** Emitted before the 101 response is sent, with its lines. They may be modified. */
    headers: [headers: string[], request: IncomingMessage];
    /** Emitted when the HTTP server is listening. */
    listening: [];
  }

  /** A WebSocket server. */
  class Server extends EventEmitter {
    /**
     * @param options at least one of `port`, `server` and `noServer` is required
     * @param callback a listener for 'listening'; used only with `port`
     * @throws {TypeError} if none of the three options is given
     * @throws {RangeError} if `highWaterMark` is out of range
     * @throws {Error} if an option of `perMessageDeflate` is out of range
     */
    constructor(options: ServerOptions, callback?: () => void);

    /** The open connections; undefined if `clientTracking` is false. */
    clients: Set<WebSocket>;
    /** The options, completed by their defaults. */
    options: ServerOptions;
    /** The option `path`. */
    path: string | null | undefined;

    /**
     * Terminates all clients, unless `clientTracking` is false, and stops handling
     * upgrades. With `port`, also closes the HTTP server.
     *
     * @param callback called when the HTTP server has closed, or at once if it is not
     *   closed; called with an error if the HTTP server was not open
     */
    close(callback?: (error?: Error) => void): void;
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
      options: BroadcastOptions | undefined,
      callback?: (error: null, count: number) => void,
    ): number;
    /**
     * Handles an upgrade request. An invalid request is refused: with 405 for a method
     * other than GET, with 400 for other faults.
     *
     * @param upgradeHead the bytes that were read after the request
     * @param callback called with the connection if the handshake succeeds
     */
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      upgradeHead: Buffer,
      callback: (client: WebSocket) => void,
    ): void;
    /** Whether the path of a request is that of the option `path`, if given. */
    shouldHandle(request: IncomingMessage): boolean;

    on<E extends keyof ServerEvents>(
      event: E,
      listener: (this: Server, ...args: ServerEvents[E]) => void,
    ): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
    once<E extends keyof ServerEvents>(
      event: E,
      listener: (this: Server, ...args: ServerEvents[E]) => void,
    ): this;
    once(event: string | symbol, listener: (...args: any[]) => void): this;
  }

  /** The data of a PreparedMessage. */
  type PreparedData = string | ArrayBufferLike | ArrayBufferView;

  /** The options of a PreparedMessage. */
  interface PreparedOptions {
    /** Whether the message is binary; by default, true unless the data is a string. */
    binary?: boolean;
    /**
     * Whether the message is compressed for connections that have negotiated
     * permessage-deflate, if it is not shorter than their `threshold`; true by default.
     */
    compress?: boolean;
  }

  /** The options of `broadcast`. */
  interface BroadcastOptions extends PreparedOptions {
    /**
     * Called with each open client. The message is sent to those for which it returns
     * true. If it throws, nothing is sent.
     */
    filter?: (client: WebSocket) => boolean;
  }

  /**
   * A message that is sent to many connections: it is framed once, and compressed once
   * for each size of window (RFC 7692, 7.1.2) that connections use. All connections share
   * its memory until they have written it.
   *
   * It is compressed with the default `level` and `memLevel`, and refers to no earlier
   * message of a connection. After it, a connection with context takeover compresses
   * its next message without reference to earlier ones.
   */
  class PreparedMessage {
    /**
     * @param data is copied
     * @throws {TypeError} if `data` is of another type
     */
    constructor(data: PreparedData, options?: PreparedOptions);
    /** The length of the message in bytes, not compressed. */
    readonly length: number;
    /** Whether the message is binary. */
    readonly isBinary: boolean;
    /** The option `compress`. */
    readonly compress: boolean;
    /** A copy of the data, in UTF-8 for a string. */
    readonly data: Buffer;
  }

  /** The permessage-deflate extension (RFC 7692) of one connection. */
  class PerMessageDeflate {
    static readonly extensionName: 'permessage-deflate';
    /**
     * @param isServer false by default
     * @param maxPayload the maximum number of bytes to which one call of `decompress` may
     *   decompress its data; 0, the default, for no limit
     * @throws {Error} if an option is out of range
     */
    constructor(
      options?: PerMessageDeflateOptions,
      isServer?: boolean,
      maxPayload?: number,
    );
    /** The negotiated parameters; null before `accept`. */
    params: Record<string, true | number> | null;
    /** The option `threshold`, in bytes. */
    threshold: number;
    /** Returns the parameters that a client offers. */
    offer(): Record<string, true | number>;
    /**
     * A server accepts one of a client's offers, a client accepts the server's response.
     * Returns the negotiated parameters.
     *
     * @throws {Error} if an offer is invalid, or none is acceptable
     */
    accept(
      offers: Array<Record<string, Array<string | true>>>,
    ): Record<string, true | number>;
    /**
     * Compresses the payload of a frame. `fin` is whether the frame ends its message. The
     * callback is called on the next tick.
     */
    compress(
      data: Buffer | null,
      fin: boolean,
      callback: (error: Error | null, data: Buffer) => void,
    ): void;
    /**
     * Decompresses the payload of a frame, as `compress`. If the result is longer than
     * `maxPayload`, the property `closeCode` of the error is 1009.
     */
    decompress(
      data: Buffer,
      fin: boolean,
      callback: (error: Error | null, data: Buffer) => void,
    ): void;
    /** Frees the compression contexts. */
    cleanup(): void;
  }

  /** Decodes received bytes, and calls its `on…` properties. */
  class Receiver {
    /**
     * @param extensions the negotiated extensions, by name
     * @param maxPayload the maximum length of a message in bytes; 0, the default, for no
     *   limit
     */
    constructor(
      extensions?: Record<string, PerMessageDeflate> | null,
      maxPayload?: number,
    );
    /** The maximum length of a message in bytes; 0 for no limit. */
    maxPayload: number;
    /** The bytes on the wire of the current message, from the heads received so far. */
    readonly totalPayloadLength: number;
    /** Called for each text message. */
    ontext: ((data: string, flags: Flags) => void) | null;
    /** Called for each binary message. */
    onbinary: ((data: Buffer, flags: Flags) => void) | null;
    /** Called for each ping. */
    onping: ((data: Buffer, flags: Flags) => void) | null;
    /** Called for each pong. */
    onpong: ((data: Buffer, flags: Flags) => void) | null;
    /** Called for a close frame; `code` is 1000 if it has none. Nothing more is read. */
    onclose:
      | ((code: number, reason: string, flags: { masked: boolean }) => void)
      | null;
    /** Called for a violation, with the code to close with. Nothing more is read. */
    onerror: ((error: Error, closeCode: number) => void) | null;
    /** Decodes the next chunk. Payloads are unmasked in place. */
    add(chunk: Buffer): void;
    /** Frees the decoder, and sets the `on…` properties to null. */
    cleanup(): void;
  }

  /**
   * Encodes messages as frames and writes them to a socket. Unlike in `WebSocket#send`,
   * all options are false by default. Callbacks are called with null when the socket
   * has written the data, or with an error.
   */
  class Sender {
    /**
     * @param socket only the method `write` is required
     * @param extensions the negotiated extensions, by name
     */
    constructor(
      socket: Pick<Writable, 'write'>,
      extensions?: Record<string, PerMessageDeflate> | null,
    );
    /** Returns a frame as a list of Buffers, independent of earlier frames. */
    static frame(
      data: Data,
      options: {
        opcode: number;
        fin?: boolean;
        rsv1?: boolean;
        mask?: boolean;
      },
    ): Buffer[];
    /** Called with an error for which there is no callback. */
    onerror: ((error: Error) => void) | null;
    /** Sends a message, or a fragment of one. */
    send(
      data: Data,
      options: SendOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    /**
     * Sends a ping.
     *
     * @throws {RangeError} if the data is longer than 125 bytes
     */
    ping(
      data: Data,
      options: ControlOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    /**
     * Sends a pong.
     *
     * @throws {RangeError} if the data is longer than 125 bytes
     */
    pong(
      data: Data,
      options: ControlOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    /**
     * Sends a close frame.
     *
     * @param code 1000 by default
     * @param data the reason, at most 123 bytes of UTF-8; empty by default
     * @throws {Error} if the code must not be sent (RFC 6455, 7.4)
     * @throws {RangeError} if the reason is longer than 123 bytes
     * @throws {TypeError} if the reason is not valid UTF-8
     */
    close(
      code?: number,
      data?: string | Buffer | null,
      mask?: boolean,
      cb?: (error?: Error | null) => void,
    ): void;
    /** Writes a frame that is given as a list of Buffers. They are copied. */
    sendFrame(list: Buffer[], cb?: (error?: Error | null) => void): void;
  }
}

export = WebSocket;
