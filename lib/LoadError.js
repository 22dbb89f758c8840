'use strict';

const fs = require('fs');
const path = require('path');

const { version, optionalDependencies = {} } = require('../package.json');

/** The package with the binary of a platform. */
const packageOf = (name) => `oxws-${name}`;

/** The packages with binaries that the published package asks for. */
const PACKAGES = Object.keys(optionalDependencies).filter((name) =>
  name.startsWith(packageOf('')),
);

const FROM_SOURCE =
  'Or build it from the repository, with Rust installed: npm install && npm run build';

/**
 * What the loader said -> what is wrong and what to do. The first row that matches is
 * taken. `name` is that of the platform.
 */
const CAUSES = [
  {
    when: (cause) => cause.code === 'ERR_DLOPEN_DISABLED',
    advice: () => [
      'Node.js was told not to load addons: by --permission without --allow-addons, or',
      'by --no-addons.',
      'Run node with --allow-addons, or without --no-addons.',
    ],
  },
  {
    when: (cause) => cause.code === 'ERR_ACCESS_DENIED',
    advice: () => [
      'Node.js was told not to read the files of oxws: by --permission without',
      '--allow-fs-read.',
      'Run node with --allow-addons and --allow-fs-read for the folder node_modules.',
    ],
  },
  {
    when: (cause) => isMissing(cause) && isCheckout(),
    advice: () => [
      'This is a checkout of the repository, and the addon is not built.',
      'Build it, with Rust installed: npm run build',
    ],
  },
  {
    when: (cause) => (isMissing(cause) || isLost(cause)) && isBundled(),
    advice: () => [
      'oxws runs from a bundle, and its binary cannot be found from there.',
      'Keep oxws out of the bundle (esbuild: --external:oxws, webpack: externals), and',
      'install it where the bundle runs. Or have the bundler copy the binary (esbuild:',
      '--loader:.node=copy, webpack: node-loader), and keep the copy beside the bundle.',
    ],
  },
  {
    when: (cause) => isMissing(cause) && installedFor().length > 0,
    advice: (name) => [
      `The package ${packageOf(name)} is not installed, but ${installedFor().join(', ')}:`,
      'node_modules was made on another platform.',
      'Install where the program runs, and do not copy node_modules (Docker: list it in',
      `.dockerignore). To add this one: npm install ${packageOf(name)}@${version}`,
    ],
  },
  {
    when: (cause) => isMissing(cause),
    advice: (name) => [
      `The package ${packageOf(name)} is not installed. It is an optional dependency:`,
      '- npm leaves it out with --omit=optional, and yarn 1 with --ignore-optional.',
      '- npm leaves it out if the lock file was made on another platform',
      '  (https://github.com/npm/cli/issues/4828): delete node_modules and',
      '  package-lock.json, and run npm install.',
      `To add it: npm install ${packageOf(name)}@${version}`,
    ],
  },
  {
    when: (cause) => /GLIBC_[\d.]+' not found/.test(cause.message),
    advice: () => [
      'The C library of this system is too old: the binary needs glibc 2.17.',
      'It was built elsewhere, or for another version of oxws.',
      FROM_SOURCE,
    ],
  },
  {
    when: (cause) => /libgcc_s/.test(cause.message),
    advice: () => [
      'A library that the binary needs is not installed.',
      'On Alpine Linux: apk add libgcc',
    ],
  },
  {
    when: (cause) =>
      /ld-linux|ld-musl|libc\.so|symbol not found|GNU_HASH/i.test(
        cause.message,
      ),
    advice: (name) => [
      `The binary of ${packageOf(name)} is for another C library: glibc and musl (Alpine`,
      'Linux) need packages of their own. node_modules was made on another system.',
      'Delete node_modules, and run npm install where the program runs.',
    ],
  },
  {
    when: (cause) =>
      /\.node: cannot open|ELF|mach-o|architecture|valid Win32|too short/i.test(
        cause.message,
      ),
    advice: (name) => [
      'The binary is damaged, or for another processor.',
      'Delete node_modules, and run npm install where the program runs; or install it',
      `again: npm install --force ${packageOf(name)}@${version}`,
    ],
  },
  {
    when: (cause) => /failed to map|not permitted|EPERM/i.test(cause.message),
    advice: () => [
      'The system does not run code from this folder, as with a file system that is',
      'mounted noexec.',
      'Install to another folder.',
    ],
  },
  {
    when: () => true,
    advice: (name) => [
      `Install it again: npm install --force ${packageOf(name)}@${version}`,
      FROM_SOURCE,
    ],
  },
];

/** Whether the package of the platform was not found. */
function isMissing({ code, message }) {
  return (
    code === 'MODULE_NOT_FOUND' ||
    // What bundles in ECMAScript modules have in place of `require`.
    /Dynamic require of|require is not defined/.test(message)
  );
}

/** Whether the file with the binary was not found: on Linux with glibc or musl, on macOS. */
function isLost({ message }) {
  return /\.node(: cannot open|: No such file|' \(no such file\))/.test(
    message,
  );
}

/** Whether these sources are a checkout of the repository. */
function isCheckout() {
  return (
    !isBundled() && fs.existsSync(path.join(__dirname, '..', 'Cargo.toml'))
  );
}

/** Whether a bundler has moved this code out of its package. */
function isBundled() {
  return (
    typeof __dirname === 'undefined' ||
    !fs.existsSync(path.join(__dirname, 'LoadError.js'))
  );
}

/** The packages with binaries that are installed all the same. */
function installedFor() {
  const beside = path.join(__dirname, '..', '..');
  return PACKAGES.filter((name) => fs.existsSync(path.join(beside, name)));
}

/** The addon did not load. */
class LoadError extends Error {
  /**
   * @param {string} name The platform.
   * @param {string[]} advice What is wrong, and what to do.
   * @param {Error} [cause] What the loader threw.
   */
  constructor(name, advice, cause) {
    const lines = [
      `oxws ${version} has no native binary that loads here.`,
      `  platform: ${name}, Node.js ${process.version}` +
        ` (ABI ${process.versions.modules})`,
    ];
    if (cause) {
      // webpack's node-loader puts a line with its name before the message.
      const [answer] = cause.message.replace('node-loader:\n', '').split('\n');
      lines.push(`  tried:    ${packageOf(name)}`, `  answer:   ${answer}`);
    }
    super([...lines, ...advice].join('\n'), { cause });
    this.code = 'ERR_OXWS_NO_BINARY';
  }

  /** The binary of a platform cannot be loaded. */
  static of(name, cause) {
    const { advice } = CAUSES.find(({ when }) => when(cause));
    return new LoadError(name, advice(name), cause);
  }

  /** There is no binary for this platform. */
  static ofPlatform(name) {
    const supported = [
      'Linux (x64 and arm64, glibc and musl), macOS (x64 and arm64),',
      'Windows (x64 and arm64)',
    ];
    return new LoadError(name, [
      `There are binaries for ${supported.join(' ')}.`,
      FROM_SOURCE,
    ]);
  }

  /** The binary belongs to another version of oxws. */
  static ofVersion(name, found) {
    return new LoadError(name, [
      `The binary of ${packageOf(name)} is that of oxws ${found}.`,
      `Install the one that belongs to it: npm install ${packageOf(name)}@${version}`,
    ]);
  }
}

module.exports = LoadError;
