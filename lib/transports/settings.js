'use strict';

const { limitsFor } = require('../codec/limits');
const native = require('../native');

/** The maximum number of settings that are kept. */
const MAX_KEPT = 64;

/** The settings by their options. Most programs use one or two. */
const kept = new Map();

/**
 * Returns the settings of a connection for the engine. Connections with the same options
 * share one object, so that their options cross N-API once.
 *
 * @param {Object} options see `open`
 */
function settingsFor({ answers, deflate, limits, masks, textsAreStrings }) {
  const threshold = deflate ? deflate.threshold : 0;
  const { maxPayload, maxFragments, masked, validates, keepsEnds } = limits;
  const key = `${masks} ${answers} ${textsAreStrings} ${threshold} ${maxPayload} ${maxFragments} ${masked} ${validates} ${keepsEnds}`;
  let settings = kept.get(key);
  if (settings === undefined) {
    if (kept.size === MAX_KEPT) kept.clear();
    settings = new native.ConnectionSettings(
      masks,
      answers,
      textsAreStrings,
      threshold,
      limitsFor(limits),
    );
    kept.set(key, settings);
  }
  return settings;
}

module.exports = settingsFor;
