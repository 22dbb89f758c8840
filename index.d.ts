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

/** A WebSocket connection, of a client or on a server. */
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
   * Connects to `address`: a `ws:`, `wss:`, `ws+unix:`, `http:` or `https:` URL.
   *
   * @throws {Error} on an invalid address or option
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
  /** Takes over a request that is upgraded already, as a server has it. */
  constructor(
    upgraded: [request: IncomingMessage, socket: Duplex, head: Buffer],
    options?: WebSocket.AcceptedOptions,
  );

  /** How a connection is carried or, without one, all that the engine has. */
  static diagnostics(ws?: WebSocket): WebSocket.Diagnostics;

  /** What binary data is in the `onmessage` interface. */
  binaryType: WebSocket.BinaryType;
  /** The bytes that were sent and that the system has not yet taken. */
  readonly bufferedAmount: number;
  /** The bytes received, on the wire. */
  bytesReceived: number;
  /** The extensions agreed on, by name. */
  extensions: Record<string, WebSocket.PerMessageDeflate>;
  /** The longest message that is taken, in bytes; unlimited if 0 or absent. */
  maxPayload?: number;
  /** The subprotocol agreed on. */
  protocol?: string;
  /** The version of the WebSocket protocol. */
  protocolVersion: 8 | 13;
  /** One of `CONNECTING`, `OPEN`, `CLOSING` and `CLOSED`. */
  readyState: 0 | 1 | 2 | 3;
  /** The request that was upgraded; on a server only. */
  upgradeReq: IncomingMessage;
  /** The server's address; of a client only. */
  url: string;

  onopen: ((event: WebSocket.OpenEvent) => void) | null | undefined;
  onerror: ((event: WebSocket.ErrorEvent) => void) | null | undefined;
  onclose: ((event: WebSocket.CloseEvent) => void) | null | undefined;
  onmessage: ((event: WebSocket.MessageEvent) => void) | null | undefined;

  /**
   * Closes the connection with a close handshake. An invalid code or reason is an
   * 'error' event.
   *
   * @param code 1000 by default
   * @param data the reason: at most 123 bytes
   */
  close(code?: number, data?: string | Buffer): void;
  /** Shuts down the connection at once: what waits for `resume` is dropped. */
  terminate(): void;

  /**
   * Reads no more: what was received waits for `resume`, and so does the end of what the
   * other end sends, if something waits before it. A failure waits for nothing.
   *
   * @throws {Error} if the connection is not open
   */
  pause(): void;
  /** @throws {Error} if the connection is not open */
  resume(): void;

  /** @throws {Error} if it is not open, unless `dontFailWhenClosed` */
  ping(
    data?: WebSocket.Data,
    options?: WebSocket.ControlOptions,
    dontFailWhenClosed?: boolean,
  ): void;
  /** @throws {Error} if it is not open, unless `dontFailWhenClosed` */
  pong(
    data?: WebSocket.Data,
    options?: WebSocket.ControlOptions,
    dontFailWhenClosed?: boolean,
  ): void;

  /**
   * Sends a message, or a fragment of one. The memory of `data` may be used again when
   * this returns.
   *
   * @param cb called once the system has taken the data, or with an error: its `code` is
   *   `ERR_OXWS_NOT_SENT` if the connection has ended, and its `cause` tells why it failed
   * @throws {Error} if it is not open and there is no callback
   */
  send(data?: WebSocket.Data, cb?: (error?: Error | null) => void): void;
  send(
    data: WebSocket.Data,
    options: WebSocket.SendOptions | undefined,
    cb?: (error?: Error | null) => void,
  ): void;

  /** Sends a message piece by piece, on successive ticks. */
  stream(callback: WebSocket.StreamCallback): void;
  stream(
    options: WebSocket.StreamOptions | undefined,
    callback: WebSocket.StreamCallback,
  ): void;

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
  // The names that ws has since version 8, for `import { WebSocketServer } from …`.
  const WebSocket: WebSocketClass;
  type WebSocket = WebSocketInstance;
  const WebSocketServer: typeof Server;
  type WebSocketServer = Server;

  /** What can be sent. */
  type Data =
    | string
    | number
    | ArrayBufferLike
    | ArrayBufferView
    | number[]
    | null
    | undefined;

  type BinaryType = 'nodebuffer' | 'arraybuffer';

  /** How a message came. */
  interface Flags {
    binary: boolean;
    masked: boolean;
  }

  /** The arguments of each event's listeners. */
  interface Events {
    open: [];
    message: [data: any, flags: Flags];
    ping: [data: Buffer, flags: Flags];
    pong: [data: Buffer, flags: Flags];
    close: [code: number, message: string];
    error: [error: Error];
    'unexpected-response': [request: ClientRequest, response: IncomingMessage];
  }

  interface OpenEvent {
    type: 'open';
    target: WebSocket;
  }

  interface ErrorEvent extends Error {
    type: 'error';
    target: WebSocket;
  }

  interface CloseEvent {
    type: 'close';
    target: WebSocket;
    code: number;
    reason: string;
    wasClean: boolean;
  }

  interface MessageEvent {
    type: 'message';
    target: WebSocket;
    data: any;
    binary: boolean;
  }

  interface Diagnostics {
    transport: 'native' | 'stream' | null;
    host: 'inline' | 'thread' | null;
    connections: number;
    /** The bytes that were sent and that the system has not yet taken. */
    queuedBytes: number;
  }

  interface ControlOptions {
    /** Whether to mask the frame; a client does by default. */
    mask?: boolean;
    binary?: boolean;
  }

  interface StreamOptions {
    /** Whether to mask the frames; a client does by default. */
    mask?: boolean;
    /** Whether the message is binary; text by default. */
    binary?: boolean;
    /** Whether to compress, where permessage-deflate is agreed on: by default. */
    compress?: boolean;
  }

  interface SendOptions {
    /** Whether to compress, where permessage-deflate is agreed on: by default. */
    compress?: boolean;
    /** Whether the message is binary; it follows the kind of data by default. */
    binary?: boolean;
    /** Whether to mask the frame; a client does by default. */
    mask?: boolean;
    /** Whether the message ends here: by default. */
    fin?: boolean;
  }

  type StreamCallback = (
    error: Error | null,
    send: (data: Data, final?: boolean) => void,
  ) => void;

  interface PerMessageDeflateOptions {
    /** Whether the server compresses each message on its own. */
    serverNoContextTakeover?: boolean;
    /** Whether the client compresses each message on its own. */
    clientNoContextTakeover?: boolean;
    /**
     * The server's window, 8 to 15 (the base-2 logarithm of bytes), or whether to agree
     * to the parameter. Where none is agreed on, a sender uses 13: several times as
     * fast as 15 with many connections, and as small within a few hundredths.
     */
    serverMaxWindowBits?: number | boolean;
    /** The client's window, 8 to 15, or whether to agree to the parameter. */
    clientMaxWindowBits?: number | boolean;
    /** Memory for compression: 1 to 9, 8 by default. */
    memLevel?: number;
    /** Effort of compression: 0 to 9, 7 by default. */
    level?: number;
    /** Payloads shorter than this are not compressed: 1024 bytes by default. */
    threshold?: number;
  }

  /** Limits beyond the documentation of ws. */
  interface Limits {
    /**
     * The longest message that is taken, in bytes: 100 MiB by default for a server, 256
     * MiB for a client; 0 for no limit but those of strings and Buffers.
     */
    maxPayload?: number;
    /** The most fragments of a message: 1048576 by default. */
    maxFragments?: number;
    /** Whether the other end's frames must be masked as RFC 6455, 5.1 has it. */
    strictMasking?: boolean;
  }

  interface ClientOptions extends Limits {
    protocol?: string;
    agent?: Agent;
    headers?: Record<string, string | string[] | number>;
    protocolVersion?: 8 | 13;
    host?: string;
    origin?: string;
    pfx?: string | Buffer;
    key?: string | Buffer | Array<string | Buffer>;
    passphrase?: string;
    cert?: string | Buffer | Array<string | Buffer>;
    ca?: string | Buffer | Array<string | Buffer>;
    ciphers?: string;
    rejectUnauthorized?: boolean;
    checkServerIdentity?: (
      host: string,
      certificate: PeerCertificate,
    ) => Error | undefined;
    perMessageDeflate?: boolean | PerMessageDeflateOptions;
    localAddress?: string;
    /** How long the opening handshake may take, in milliseconds; no limit by default. */
    handshakeTimeout?: number;
  }

  interface AcceptedOptions extends Limits {
    extensions?: Record<string, PerMessageDeflate>;
    protocol?: string;
    protocolVersion?: 8 | 13;
  }

  interface VerifyClientInfo {
    origin: string | undefined;
    req: IncomingMessage;
    secure: boolean;
  }

  type VerifyClient =
    | ((info: VerifyClientInfo) => boolean)
    | ((
        info: VerifyClientInfo,
        cb: (result: boolean, code?: number, name?: string) => void,
      ) => void);

  interface ServerOptions extends Limits {
    host?: string;
    port?: number;
    backlog?: number;
    server?: HttpServer | HttpsServer;
    verifyClient?: VerifyClient;
    handleProtocols?: (
      protocols: string[],
    ) => string | false | null | undefined;
    path?: string;
    noServer?: boolean;
    clientTracking?: boolean;
    perMessageDeflate?: boolean | PerMessageDeflateOptions;
  }

  /** The arguments of each event's listeners. */
  interface ServerEvents {
    connection: [socket: WebSocket];
    error: [error: Error];
    headers: [headers: string[], request: IncomingMessage];
    listening: [];
  }

  /** A server for WebSocket connections. */
  class Server extends EventEmitter {
    /**
     * One of the options `port`, `server` and `noServer` is needed.
     *
     * @param callback called when the server listens; with `port` only
     */
    constructor(options: ServerOptions, callback?: () => void);

    /** The open connections; absent without `clientTracking`. */
    clients: Set<WebSocket>;
    options: ServerOptions;
    path: string | null | undefined;

    /** Terminates all clients, and closes the server of `port`. */
    close(callback?: (error?: Error) => void): void;
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      upgradeHead: Buffer,
      callback: (client: WebSocket) => void,
    ): void;
    /** Whether this server handles a request: if its path is the option's. */
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

  /** The permessage-deflate extension of one connection. */
  class PerMessageDeflate {
    static readonly extensionName: 'permessage-deflate';
    constructor(
      options?: PerMessageDeflateOptions,
      isServer?: boolean,
      maxPayload?: number,
    );
    params: Record<string, true | number> | null;
    threshold: number;
    offer(): Record<string, true | number>;
    accept(
      offers: Array<Record<string, Array<string | true>>>,
    ): Record<string, true | number>;
    compress(
      data: Buffer | null,
      fin: boolean,
      callback: (error: Error | null, data: Buffer) => void,
    ): void;
    decompress(
      data: Buffer,
      fin: boolean,
      callback: (error: Error | null, data: Buffer) => void,
    ): void;
    cleanup(): void;
  }

  /** Turns received bytes into calls of its `on…` properties. */
  class Receiver {
    constructor(
      extensions?: Record<string, PerMessageDeflate> | null,
      maxPayload?: number,
    );
    maxPayload: number;
    readonly totalPayloadLength: number;
    ontext: ((data: string, flags: Flags) => void) | null;
    onbinary: ((data: Buffer, flags: Flags) => void) | null;
    onping: ((data: Buffer, flags: Flags) => void) | null;
    onpong: ((data: Buffer, flags: Flags) => void) | null;
    onclose:
      | ((code: number, reason: string, flags: { masked: boolean }) => void)
      | null;
    onerror: ((error: Error, closeCode: number) => void) | null;
    add(chunk: Buffer): void;
    cleanup(): void;
  }

  /** Turns messages into frames, and writes them to a socket. */
  class Sender {
    constructor(
      socket: Pick<Writable, 'write'>,
      extensions?: Record<string, PerMessageDeflate> | null,
    );
    static frame(
      data: Data,
      options: {
        opcode: number;
        fin?: boolean;
        rsv1?: boolean;
        mask?: boolean;
      },
    ): Buffer[];
    onerror: ((error: Error) => void) | null;
    send(
      data: Data,
      options: SendOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    ping(
      data: Data,
      options: ControlOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    pong(
      data: Data,
      options: ControlOptions,
      cb?: (error?: Error | null) => void,
    ): void;
    close(
      code?: number,
      data?: string | Buffer | null,
      mask?: boolean,
      cb?: (error?: Error | null) => void,
    ): void;
    sendFrame(list: Buffer[], cb?: (error?: Error | null) => void): void;
  }
}

export = WebSocket;
