"""The algorithms of Locatello et al. (2019) with their settings, re-expressed in numpy, scipy and scikit-learn.

Codes are (N, d) and factors (N, k) arrays. Where the published study draws new observations, these draw from the
arrays at hand, as lsgen does.
"""

import numpy as np
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC


def discretise(codes, bins=20):
    return np.stack([np.digitize(c, np.histogram(c, bins)[1][:-1]) for c in codes.T], axis=1)


def mutual_information(codes, factors):
    return np.array([[mutual_info_score(v, c) for v in factors.T] for c in codes.T])


def mig(codes, factors):
    information = np.sort(mutual_information(discretise(codes), factors), axis=0)[::-1]
    entropies = np.array([mutual_info_score(v, v) for v in factors.T])
    return np.mean((information[0] - information[1]) / entropies)


def modularity(codes, factors):
    squared = mutual_information(discretise(codes), factors) ** 2
    largest = squared.max(axis=1)
    with np.errstate(invalid="ignore"):
        score = 1 - (squared.sum(axis=1) - largest) / (largest * (factors.shape[1] - 1))
    return np.mean(np.where(largest == 0, 0, score))


def irs(codes, factors, quantile=0.99, bins=None):
    factors = factors if bins is None else discretise(factors, bins)
    codes = codes[:, codes.var(axis=0) > 0]
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    moved = np.zeros((codes.shape[1], factors.shape[1]))
    for j, factor in enumerate(factors.T):
        values = np.unique(factor)
        for value in values:
            group = codes[factor == value]
            moved[:, j] += np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) / len(values)
    return np.average((1 - moved / largest[:, None]).max(axis=1), weights=largest)


def sap(codes, factors, train, test, **options):
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for i, code in enumerate(codes.T):
        for j, factor in enumerate(factors.T):
            machine = LinearSVC(C=0.01, class_weight="balanced", **options)
            machine.fit(code[train, None], factor[train])
            scores[i, j] = np.mean(machine.predict(code[test, None]) == factor[test])
    return top_two(scores), scores


def sap_continuous(codes, factors):
    scores = np.array([[np.corrcoef(c, v)[0, 1] ** 2 for v in factors.T] for c in codes.T])
    return top_two(scores)


def top_two(scores):
    ordered = np.sort(scores, axis=0)
    return np.mean(ordered[-1] - ordered[-2])


def boosted_importance(codes, factors, train, **options):
    columns = []
    for factor in factors.T:
        columns.append(GradientBoostingClassifier(**options).fit(codes[train], factor[train]).feature_importances_)
    return np.stack(columns, axis=1)


def disentanglement(importance):
    per_code = 1 - stats.entropy(importance.T + 1e-11, base=importance.shape[1])
    return np.sum(per_code * importance.sum(axis=1) / importance.sum())


def completeness(importance):
    per_factor = 1 - stats.entropy(importance + 1e-11, base=importance.shape[0])
    return np.sum(per_factor * importance.sum(axis=0) / importance.sum())


def explicitness(codes, factors, train, test, **options):
    x = (codes - codes[train].mean(axis=0)) / codes[train].std(axis=0)
    areas = []
    for factor in factors.T:
        model = LogisticRegression(**options).fit(x[train], factor[train])
        one_hot = factor[test][:, None] == model.classes_
        areas.append(roc_auc_score(one_hot, model.predict_proba(x[test])))
    return np.mean(areas)


def factor_vae(codes, factors, rng, batch=64, train=10_000, test=5_000, threshold=0.05):
    codes = codes[:, codes.std(axis=0, ddof=1) >= threshold]
    variance = codes.var(axis=0, ddof=1)
    groups = [{value: np.flatnonzero(v == value) for value in np.unique(v)} for v in factors.T]

    def votes(n):
        table = np.zeros((factors.shape[1], codes.shape[1]))
        for _ in range(n):
            j = rng.integers(factors.shape[1])
            chosen = rng.choice(groups[j][factors[rng.integers(len(factors)), j]], batch)
            table[j, np.argmin(codes[chosen].var(axis=0, ddof=1) / variance)] += 1
        return table

    first, second = votes(train), votes(test)
    return second[first.argmax(axis=0), np.arange(codes.shape[1])].sum() / second.sum()


def beta_vae(codes, factors, rng, batch=64, train=10_000, test=5_000):
    groups = [{value: np.flatnonzero(v == value) for value in np.unique(v)} for v in factors.T]

    def points(n):
        features, held = np.zeros((n, codes.shape[1])), np.zeros(n, dtype=np.int64)
        for row in range(n):
            held[row] = j = rng.integers(factors.shape[1])
            first = rng.integers(len(codes), size=batch)
            second = [rng.choice(groups[j][factors[index, j]]) for index in first]
            features[row] = np.abs(codes[first] - codes[second]).mean(axis=0)
        return features, held

    model = LogisticRegression().fit(*points(train))
    return model.score(*points(test))
