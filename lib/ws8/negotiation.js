'use strict';

// The negotiation of permessage-deflate (RFC 7692, 5 and 7.1). The functions take the
// objects that `extension.parse` returns, and modify them: the array of each parameter is
// replaced by its value.

/** Reads a parameter that must not have a value, which `parse` gives as `true`. */
const flag = (value) => (value === true ? value : undefined);

/** Reads a window size: the base-2 logarithm of the number of bytes, 8 to 15. */
function windowBits(value) {
  const bits = Number(value);
  return Number.isInteger(bits) && bits >= 8 && bits <= 15 ? bits : undefined;
}

/**
 * The functions that read a parameter, by name. They return undefined if it is invalid.
 */
const READERS = new Map([
  ['server_no_context_takeover', flag],
  ['client_no_context_takeover', flag],
  ['server_max_window_bits', windowBits],
  [
    'client_max_window_bits',
    // In an offer the value may be left out: the client then supports any window.
    (value, isServer) => (isServer && flag(value)) || windowBits(value),
  ],
]);

/** Reads all parameters of an offer (`isServer`), or of a response. */
function read(params, isServer) {
  for (const [name, values] of Object.entries(params)) {
    if (values.length > 1) {
      throw new Error(`Parameter "${name}" must have only a single value`);
    }
    const reader = READERS.get(name);
    if (!reader) throw new Error(`Unknown parameter "${name}"`);
    const value = reader(values[0], isServer);
    if (value === undefined) {
      throw new TypeError(
        `Invalid value for parameter "${name}": ${values[0]}`,
      );
    }
    params[name] = value;
  }
}

/**
 * Returns the parameters that a client offers.
 *
 * @param {Object} options the options of PerMessageDeflate
 * @returns {Object}
 */
function offer(options) {
  const params = {
    server_no_context_takeover: Boolean(options.serverNoContextTakeover),
    client_no_context_takeover: Boolean(options.clientNoContextTakeover),
    server_max_window_bits: options.serverMaxWindowBits,
    client_max_window_bits: options.clientMaxWindowBits ?? true,
  };
  return Object.fromEntries(
    Object.entries(params).filter(([, value]) => value),
  );
}

/**
 * Accepts the first of a client's offers that the options of the server allow.
 *
 * @param {Object[]} offers
 * @param {Object} options the options of PerMessageDeflate
 * @returns {Object} the negotiated parameters
 * @throws {Error} if an offer is invalid, or none is allowed
 */
function acceptOffer(offers, options) {
  for (const params of offers) read(params, true);
  const accepted = offers.find((params) => allows(options, params));
  if (!accepted) {
    throw new Error('None of the extension offers can be accepted');
  }
  settle(options, accepted);
  return accepted;
}

function allows(options, params) {
  const { serverNoContextTakeover, serverMaxWindowBits } = options;
  const {
    server_no_context_takeover: takesNothingOver,
    server_max_window_bits: serverBits,
    // A client that leaves out the parameter cannot limit its window (RFC 7692, 7.1.2.2).
    client_max_window_bits: clientBits = 0,
  } = params;
  const takeover = serverNoContextTakeover !== false || !takesNothingOver;
  const serverWindow =
    !serverBits ||
    (serverMaxWindowBits !== false &&
      !exceeds(serverMaxWindowBits, serverBits));
  const clientWindow =
    clientBits === true || !exceeds(options.clientMaxWindowBits, clientBits);
  return takeover && serverWindow && clientWindow;
}

/** Whether an option is a window size above `bits`. */
function exceeds(option, bits) {
  return typeof option === 'number' && option > bits;
}

/** Sets the parameters that the options of the server determine. */
function settle(options, params) {
  if (options.serverNoContextTakeover) {
    params.server_no_context_takeover = true;
  }
  if (options.clientNoContextTakeover) {
    params.client_no_context_takeover = true;
  }
  if (typeof options.serverMaxWindowBits === 'number') {
    params.server_max_window_bits = options.serverMaxWindowBits;
  }
  if (typeof options.clientMaxWindowBits === 'number') {
    params.client_max_window_bits = options.clientMaxWindowBits;
  } else if (
    options.clientMaxWindowBits === false ||
    params.client_max_window_bits === true
  ) {
    delete params.client_max_window_bits;
  }
}

/**
 * Accepts a server's response if the options of the client allow it.
 *
 * @param {Object[]} answers an array whose first item is the response
 * @param {Object} options the options of PerMessageDeflate
 * @returns {Object} the negotiated parameters
 * @throws {Error} if the response is invalid or not allowed
 */
function acceptAnswer(answers, options) {
  for (const params of answers) read(params, false);
  const [accepted] = answers;
  if (
    options.clientNoContextTakeover === false &&
    accepted.client_no_context_takeover
  ) {
    throw new Error('Unexpected parameter "client_no_context_takeover"');
  }
  const wanted = options.clientMaxWindowBits;
  const isNumber = typeof wanted === 'number';
  const { client_max_window_bits: bits } = accepted;
  if (bits === undefined) {
    if (isNumber) accepted.client_max_window_bits = wanted;
  } else if (wanted === false || (isNumber && wanted < bits)) {
    throw new Error('Unexpected or invalid parameter "client_max_window_bits"');
  }
  return accepted;
}

module.exports = { acceptAnswer, acceptOffer, offer };
