from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.engines import GenerationRequest
from tasks.engines.batching import plan_batches


def make_request(i: int, n: int, max_new_tokens: int) -> GenerationRequest:
    message = {"role": "user", "content": "x"}
    return GenerationRequest(f"r{i}", [message], n=n, max_new_tokens=max_new_tokens)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30))),
    rows_per_batch=st.integers(1, 16),
    tokens_per_batch=st.integers(1, 400),
)
def test_every_sample_is_in_one_batch_that_fits(shapes, rows_per_batch, tokens_per_batch):
    lengths = [length for length, _, _ in shapes]
    requests = [make_request(i, n, new) for i, (_, n, new) in enumerate(shapes)]
    batches = plan_batches(requests, lengths, rows_per_batch, tokens_per_batch)
    planned = Counter(
        (piece.request, index) for pieces in batches for piece in pieces for index in piece.indices
    )
    assert planned == Counter(
        (i, k) for i, request in enumerate(requests) for k in range(request.n)
    )
    for pieces in batches:
        num_rows = sum(len(piece.indices) for piece in pieces)
        width = max(lengths[piece.request] for piece in pieces)
        width += max(requests[piece.request].max_new_tokens for piece in pieces)
        assert 1 <= num_rows <= rows_per_batch
        assert num_rows == 1 or num_rows * width <= tokens_per_batch


def test_the_longest_prompts_come_first():
    requests = [make_request(i, 1, 5) for i in range(4)]
    batches = plan_batches(requests, [3, 9, 9, 5], rows_per_batch=1, tokens_per_batch=100)
    assert [pieces[0].request for pieces in batches] == [1, 2, 3, 0]
