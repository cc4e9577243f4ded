"""Snakemake's scheduler is woken once a second, however many jobs have ended."""

import threading
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from neural_recon.workflow import snakemake_internals
from neural_recon.workflow.snakemake_internals import METHOD


def test_snakemake_still_has_the_method():
    assert callable(getattr(JobScheduler, METHOD))


def test_one_timer_waits_at_a_time_and_the_next_look_can_set_another(monkeypatch):
    monkeypatch.setattr(JobScheduler, METHOD, getattr(JobScheduler, METHOD))
    snakemake_internals.one_timer()
    look_again = getattr(JobScheduler, METHOD)
    scheduler = SimpleNamespace(_open_jobs=threading.Semaphore(0))
    before = threading.active_count()
    for _ in range(50):
        look_again(scheduler, 0.05)
    assert threading.active_count() == before + 1
    assert all(thread.daemon for thread in threading.enumerate() if isinstance(thread, threading.Timer))
    for _ in range(2):
        assert scheduler._open_jobs.acquire(timeout=5)
        assert not scheduler._open_jobs.acquire(blocking=False)
        look_again(scheduler, 0.05)
    assert scheduler._open_jobs.acquire(timeout=5)


def test_without_the_method_nothing_is_changed(monkeypatch):
    monkeypatch.delattr(JobScheduler, METHOD)
    snakemake_internals.one_timer()
    with pytest.raises(AttributeError):
        getattr(JobScheduler, METHOD)
