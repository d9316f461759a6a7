"""The order of batches: a partition of the data for every epoch, every number of processes, every starting point."""

from itertools import product

import pytest
import torch
from torch.utils.data import DistributedSampler

from lsgen.data import Batching, ClassBatches, MixedBatches, OrderedBatches, Position, ShuffledBatches

SHAPES = [
    (100, 10, 1),
    (100, 7, 1),
    (100, 7, 3),
    (101, 10, 2),
    (61, 10, 3),
    (5, 2, 2),
    (3, 64, 3),
    (31, 10, 3),
    (64, 64, 1),
]


def epochs_of(size, batch_size, world, **options):
    return [
        ShuffledBatches(range(size), Batching(batch_size, 4, rank=rank, world_size=world, **options))
        for rank in range(world)
    ]


def indices(batches):
    return torch.cat([request.indices for request in batches])


@pytest.mark.parametrize(("size", "batch_size", "world"), SHAPES)
def test_every_observation_once_and_equally_many_batches_on_every_process(size, batch_size, world):
    for make in (epochs_of, lambda n, b, w: [OrderedBatches(range(n), b, rank, w) for rank in range(w)]):
        ranks = make(size, batch_size, world)
        drawn = [list(rank) for rank in ranks]
        assert {len(batches) for batches in drawn} == {len(ranks[0])}
        assert sorted(torch.cat([indices(batches) for batches in drawn]).tolist()) == list(range(size))
        sizes = [len(request.indices) for batches in drawn for request in batches]
        assert min(sizes) >= 1
        assert max(sizes) <= batch_size


@pytest.mark.parametrize(("size", "batch_size", "world"), [(100, 7, 1), (100, 7, 3), (64, 64, 1)])
def test_drop_last_leaves_full_batches_of_distinct_observations(size, batch_size, world):
    drawn = [list(rank) for rank in epochs_of(size, batch_size, world, drop_last=True)]
    assert {len(request.indices) for batches in drawn for request in batches} == {batch_size}
    together = torch.cat([indices(batches) for batches in drawn])
    assert len(together.unique()) == len(together) == size // (batch_size * world) * batch_size * world


def test_no_batch_is_smaller_than_the_model_can_work_on():
    for size, batch_size, world, least in product(range(1, 40), range(1, 7), (1, 2, 3), (1, 2, 3)):
        if batch_size < least or size < least * world:
            with pytest.raises(ValueError, match=r"expected (a batch_size of )?at least"):
                ShuffledBatches(range(size), Batching(batch_size, 4, world_size=world, least=least))
            continue
        ranks = epochs_of(size, batch_size, world, least=least)
        drawn = [list(rank) for rank in ranks]
        assert {len(batches) for batches in drawn} == {len(ranks[0])}
        assert sorted(torch.cat([indices(batches) for batches in drawn]).tolist()) == list(range(size))
        sizes = [len(request.indices) for batches in drawn for request in batches]
        assert min(sizes) >= least
        assert max(sizes) <= batch_size + least
        plain = [list(rank) for rank in epochs_of(size, batch_size, world)]
        before = [len(request.indices) for batches in plain for request in batches]
        assert (before == sizes) == (min(before) >= least)  # nothing changes where nothing has to


def test_one_process_batches_as_a_data_loader_would():
    sizes = [len(request.indices) for request in ShuffledBatches(range(100), Batching(30, seed=0))]
    assert sizes == [30, 30, 30, 10]


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        batches = ShuffledBatches(range(1000), Batching(10, seed))
        batches.set_epoch(epoch)
        return indices(batches).tolist()

    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert order(0, 0) == first
    others = [order(0, 1), order(0, 2), order(1, 0), order(1, 1)]
    assert all(other != first for other in others)
    assert len({tuple(other) for other in others}) == 4


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(ShuffledBatches(range(50), Batching(10, seed=0)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch", range(5))
def test_a_starting_point_is_the_tail_of_its_epoch_and_leaves_later_epochs_whole(batch):
    whole, resumed = (
        ShuffledBatches(range(45), Batching(10, 0)),
        ShuffledBatches(range(45), Batching(10, 0, Position(2, batch))),
    )
    whole.set_epoch(2)
    expected = [request.indices.tolist() for request in whole][batch:]
    # Workers ask before the trainer has announced the epoch, and may ask again after it has.
    assert [request.indices.tolist() for request in resumed] == expected
    resumed.set_epoch(2)
    assert [request.indices.tolist() for request in resumed] == expected
    whole.set_epoch(3)
    resumed.set_epoch(3)
    assert [r.indices.tolist() for r in resumed] == [r.indices.tolist() for r in whole]
    assert len(resumed) == len(whole) == 5


def test_the_end_of_an_epoch_is_the_beginning_of_the_next():
    whole, resumed = (
        ShuffledBatches(range(45), Batching(10, 0)),
        ShuffledBatches(range(45), Batching(10, 0, Position(2, 5))),
    )
    whole.set_epoch(3)
    assert [r.indices.tolist() for r in resumed] == [r.indices.tolist() for r in whole]
    assert {request.epoch for request in resumed} == {3}


def test_an_iterator_keeps_the_epoch_it_was_made_in():
    batches = ShuffledBatches(range(45), Batching(10, 0))
    iterator = iter(batches)
    batches.set_epoch(1)
    assert {request.epoch for request in iterator} == {0}


def test_evaluation_ignores_the_epoch():
    batches = OrderedBatches(range(25), 10)
    batches.set_epoch(7)
    assert indices(batches).tolist() == list(range(25))
    assert {request.epoch for request in batches} == {0}


def test_a_trainer_does_not_replace_the_sampler():
    assert isinstance(ShuffledBatches(range(5), Batching(2, 0)), DistributedSampler)
    assert isinstance(OrderedBatches(range(5), 2), DistributedSampler)


def test_impossible_batches_are_refused():
    with pytest.raises(ValueError, match=r"batch_size of at least 1, got 0"):
        ShuffledBatches(range(5), Batching(0, 0))
    with pytest.raises(ValueError, match=r"at least 8 \(drop_last\) observations for batch_size 8 .* got 5"):
        ShuffledBatches(range(5), Batching(8, 0, drop_last=True))
    with pytest.raises(ValueError, match=r"at least 3 observations .* on 3 process"):
        OrderedBatches(range(2), 8, world_size=3)


@pytest.mark.parametrize(("world", "share"), [(1, 0.3), (3, 0.5), (2, 0.04)])
def test_chosen_observations_are_a_fixed_share_of_every_batch(world, share):
    chosen, others = torch.arange(0, 100, 14), torch.tensor([i for i in range(100) if i % 14])
    ranks = [MixedBatches(chosen, share, others, Batching(10, 4, rank=rank, world_size=world)) for rank in range(world)]
    drawn = [list(rank) for rank in ranks]
    assert {len(batches) for batches in drawn} == {len(ranks[0])}
    for request in (request for batches in drawn for request in batches):
        count = int(torch.isin(request.indices, chosen).sum())
        assert abs(count - share * len(request.indices)) < 1
    counts = torch.bincount(torch.cat([indices(batches) for batches in drawn]), minlength=100)
    assert set(counts[others].tolist()) == {1}
    assert int(counts[chosen].max() - counts[chosen].min()) <= 1


def test_a_mixed_order_depends_on_seed_and_epoch_and_resumes():
    def order(seed=4, epoch=1, **options):
        batches = MixedBatches(torch.arange(5), 0.25, torch.arange(5, 60), Batching(8, seed, **options))
        batches.set_epoch(epoch)
        return indices(batches)

    assert torch.equal(order(), order())
    assert not torch.equal(order(), order(seed=5))
    assert not torch.equal(order(), order(epoch=2))
    assert torch.equal(order(start=Position(1, 3)), order()[24:])


@pytest.mark.parametrize(("batch_size", "world"), [(6, 1), (12, 1), (6, 2), (3, 3)])
def test_every_class_of_a_batch_has_as_many_members(batch_size, world):
    labels = torch.tensor([0] * 7 + [-1, -1] + [4] * 3 + [2] * 11)
    ranks = [ClassBatches(labels, 3, Batching(batch_size, 1, rank=rank, world_size=world)) for rank in range(world)]
    for epoch in (0, 1, 5):
        drawn = []
        for batches in ranks:
            batches.set_epoch(epoch)
            drawn += [request.indices for request in batches]
        for rows in drawn:
            _, counts = labels[rows].unique(return_counts=True)
            assert (counts % 3 == 0).all()
            assert labels[rows].min() >= 0
        together = torch.cat(drawn)
        assert len(together.unique()) == len(together)
        if world == 1:
            assert labels[together].bincount().tolist() == [6, 0, 9, 0, 3]
    sets = [{*indices(ranks[0]).tolist()} for epoch in range(9) if ranks[0].set_epoch(epoch) is None]
    assert len({tuple(sorted(one)) for one in sets}) > 1  # what is left over is not the same


def test_batches_of_classes_begin_where_they_were_left():
    labels = torch.arange(60) % 5
    whole = ClassBatches(labels, 4, Batching(8, 3))
    whole.set_epoch(2)
    late = ClassBatches(labels, 4, Batching(8, 3, start=Position(2, 3)))
    assert torch.equal(indices(late), indices(whole)[24:])
    first = next(iter(whole)).indices
    assert len(labels[first].unique()) == 2  # one group of a class before a second one of any


@pytest.mark.parametrize(
    ("labels", "per_class", "sentence"),
    [
        (
            [0, 0, 1, 0],
            2,
            r"per_class = 2 training observations of every class, got 1 of class 1",
        ),
        ([0, 0, 1, 1], 3, "a batch_size that data.loading.per_class = 3 divides, got 4"),
        ([-1, -1], 2, "expected labels for data.loading.per_class, got none that is known"),
    ],
)
def test_classes_without_pairs_are_refused(labels, per_class, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClassBatches(torch.tensor(labels), per_class, Batching(4, 0))
