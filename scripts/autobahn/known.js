'use strict';

// The cases whose result is not OK, and may be so: each with the result and the reason.
// All other results fail the run.

/** The suite leaves to the peer what is right in these. It only reports what happens. */
const INFORMATIONAL = {
  '7.1.6':
    'a message of 256 KiB and a close frame arrive at once; the echo may be cut short',
  '7.13.1': 'the close code is 5000, which RFC 6455 does not define (7.4.2)',
  '7.13.2': 'the close code is 65535, which RFC 6455 does not define (7.4.2)',
};

module.exports = Object.entries(INFORMATIONAL).map(([name, reason]) => ({
  name,
  behavior: 'INFORMATIONAL',
  reason,
}));
