'use strict';

// What both ends agree on of permessage-deflate (RFC 7692, 5 and 7.1). The objects are
// those of `extension.parse`, which are changed: each parameter's array becomes its value.

/** The value of a parameter that has none, which stands for `true`. */
const flag = (value) => (value === true ? value : undefined);

/** A window, as the base-2 logarithm of bytes. */
function windowBits(value) {
  const bits = Number(value);
  return Number.isInteger(bits) && bits >= 8 && bits <= 15 ? bits : undefined;
}

/** What reads a parameter's value, by its name; it gives undefined for an invalid one. */
const READERS = new Map([
  ['server_no_context_takeover', flag],
  ['client_no_context_takeover', flag],
  ['server_max_window_bits', windowBits],
  [
    'client_max_window_bits',
    // The client tells so that it can limit its window.
    (value, isServer) => (isServer && flag(value)) || windowBits(value),
  ],
]);

/** Reads all parameters of an offer, or of an answer. */
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
 * What a client offers.
 *
 * @param {Object} options those of PerMessageDeflate
 * @returns {Object} parameters
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
 * What a server agrees on: the first of the offers that its options allow.
 *
 * @param {Object[]} offers
 * @param {Object} options those of PerMessageDeflate
 * @returns {Object} parameters
 * @throws {Error} on an invalid offer, and if no offer is allowed
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
    // A client that does not speak of its window cannot limit it.
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

/** Whether an option is a window, and wider than this one. */
function exceeds(option, bits) {
  return typeof option === 'number' && option > bits;
}

/** Has the server's options decide what they leave open of an offer. */
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
 * What a client agrees on: the server's answer, if its options allow that.
 *
 * @param {Object[]} answers the answer, alone
 * @param {Object} options those of PerMessageDeflate
 * @returns {Object} parameters
 * @throws {Error} on an invalid answer, and if it is not allowed
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
