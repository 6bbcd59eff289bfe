from gatepost.dns.answers import Answer
from gatepost.dns.cache import NEGATIVE_TTL_LIMIT, AnswerCache


def test_the_answer_unused_for_the_longest_goes_first() -> None:
    cache = AnswerCache(2)
    cache.put(("a", "A"), Answer("found", ttl=60), 0)
    cache.put(("b", "A"), Answer("found", ttl=60), 0)
    assert cache.get(("a", "A"), 1)
    cache.put(("c", "A"), Answer("found", ttl=60), 1)
    assert cache.get(("b", "A"), 1) is None
    assert cache.get(("a", "A"), 1)
    assert len(cache) == 2


def test_negative_answers_are_kept_for_a_bounded_time() -> None:
    cache = AnswerCache(10)
    cache.put(("a", "A"), Answer("no_name", ttl=100_000), 0)
    assert cache.get(("a", "A"), NEGATIVE_TTL_LIMIT - 1)
    assert cache.get(("a", "A"), NEGATIVE_TTL_LIMIT) is None


def test_no_time_to_live_no_cache() -> None:
    cache = AnswerCache(10)
    cache.put(("a", "A"), Answer("found"), 0)
    cache.put(("b", "A"), Answer("try_again", ttl=9), 0)
    assert len(cache) == 0
