# Runs wstest. As a server it listens on a free port, and prints it: `port: 12345`.

from __future__ import print_function

import sys

from autobahntestsuite import wstest
from twisted.internet import reactor
from twisted.internet.tcp import Port


def print_port():
    for reader in reactor.getReaders():
        if isinstance(reader, Port):
            print('port: %d' % reader.getHost().port)
            sys.stdout.flush()


reactor.callWhenRunning(print_port)
wstest.run()
