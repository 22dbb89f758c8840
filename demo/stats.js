'use strict';

// The data of the live view: two samples per second of the server's counters and of
// the process. The samples of the last minute are kept, so that the charts are complete
// when a page is opened.

const EventEmitter = require('events');
const { monitorEventLoopDelay, performance } = require('perf_hooks');

const WebSocket = require('..'); // in your app: require('oxws')

const INTERVAL = 500; // in milliseconds
const HISTORY = 120; // in samples
const RESOLUTION = 10; // in milliseconds

class Stats extends EventEmitter {
  /**
   * @param {object} facts constant values, sent once to each page
   */
  constructor(facts) {
    super();
    this.setMaxListeners(0); // one listener for each open page

    this.facts = facts;
    this.connections = 0;
    this.total = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
    this.history = [];

    this._delay = monitorEventLoopDelay({ resolution: RESOLUTION });
    this._delay.enable();
    this._last = this._read();
    this._timer = setInterval(() => this._sample(), INTERVAL);
  }

  received(data) {
    this.total.messagesIn++;
    this.total.bytesIn += Buffer.byteLength(data);
  }

  sent(data) {
    this.total.messagesOut++;
    this.total.bytesOut += Buffer.byteLength(data);
  }

  hello() {
    return {
      type: 'hello',
      node: process.version,
      pid: process.pid,
      platform: `${process.platform} ${process.arch}`,
      interval: INTERVAL,
      window: INTERVAL * HISTORY,
      history: this.history,
      ...this.facts,
    };
  }

  stop() {
    clearInterval(this._timer);
    this._delay.disable();
  }

  _read() {
    return {
      time: performance.now(),
      cpu: process.cpuUsage(),
      total: { ...this.total },
    };
  }

  _sample() {
    const last = this._last;
    const now = this._read();
    const memory = process.memoryUsage();
    const ms = now.time - last.time;
    const perSecond = (name) =>
      ((now.total[name] - last.total[name]) * 1000) / ms;
    const percent = (name) => (now.cpu[name] - last.cpu[name]) / (ms * 10);

    const sample = {
      type: 'sample',
      time: Math.round(now.time),
      uptime: process.uptime(),
      connections: this.connections,
      messagesIn: perSecond('messagesIn'),
      messagesOut: perSecond('messagesOut'),
      bytesIn: perSecond('bytesIn'),
      bytesOut: perSecond('bytesOut'),
      total: now.total,
      rss: memory.rss,
      heap: memory.heapUsed,
      user: percent('user'),
      system: percent('system'),
      p50: this._percentile(50),
      p99: this._percentile(99),
      diagnostics: WebSocket.diagnostics && WebSocket.diagnostics(),
    };

    this._delay.reset();
    this._last = now;
    this.history.push(sample);
    if (this.history.length > HISTORY) this.history.shift();
    this.emit('sample', sample);
  }

  // Returns a percentile of the event-loop delay in milliseconds. The histogram holds
  // the time between two ticks of a timer, which includes the timer's interval.
  _percentile(n) {
    return Math.max(0, this._delay.percentile(n) / 1e6 - RESOLUTION);
  }
}

module.exports = { Stats };
