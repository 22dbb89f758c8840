// Another file, in a process of its own.

import './again.test.mjs?another';
