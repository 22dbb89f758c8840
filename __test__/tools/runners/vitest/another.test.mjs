// Another file, in a worker of its own.

import './again.test.mjs';
