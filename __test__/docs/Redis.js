'use strict';

/** A Redis server, run by an App on one of its ports; it keeps nothing. */
class Redis {
  /**
   * @param {App} app
   * @param {number} named The port that the document names.
   */
  static async start(app, named = 6379) {
    const redis = new Redis();
    redis.app = app;
    redis.child = app.start(null, {
      command: 'redis-server',
      args: [
        ...['--bind', '127.0.0.1', '--port', String(app.port(named))],
        ...['--save', '', '--appendonly', 'no', '--dir', app.folder],
      ],
    });
    await app.printed(redis.child, /Ready to accept connections/);
    return redis;
  }

  stop() {
    return this.app.stop(this.child);
  }
}

module.exports = Redis;
