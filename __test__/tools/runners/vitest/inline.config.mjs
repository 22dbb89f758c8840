// vitest transforms the packages and evaluates them, and not Node.js.

export default {
  test: { server: { deps: { inline: [/node_modules\/(oxws|ws)\//] } } },
};
