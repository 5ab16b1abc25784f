"""gunicorn's settings and its worker."""

import gc
from unittest import mock

import pytest
from gunicorn.workers import gthread

from app.server import Worker


@pytest.mark.parametrize("problem", [None, SystemExit(3)])
def test_garbage_is_not_looked_for_while_the_app_loads_and_is_from_then_on(problem):
    looked_for = []

    def load(worker):
        looked_for.append(gc.isenabled())
        worker.wsgi = lambda environ, start_response: []
        if problem is not None:
            raise problem

    with mock.patch.object(gthread.ThreadWorker, "load_wsgi", load):
        worker = Worker.__new__(Worker)
        if problem is None:
            worker.load_wsgi()
        else:
            with pytest.raises(SystemExit):
                worker.load_wsgi()
    assert (looked_for, gc.isenabled()) == ([False], True)
