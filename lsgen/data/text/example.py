"""Documents that are made up: words drawn from five subjects, of which each document has one above all."""

from __future__ import annotations

import torch

from lsgen.data.draws import Purpose, stream

__all__ = ["example_documents"]

SUBJECTS = {
    "cooking": "butter oven flour salt recipe dough sugar pepper onion garlic roast stew spoon taste kitchen boil",
    "music": "piano violin rhythm chord melody concert opera tempo singer drum harmony choir score tune jazz flute",
    "sailing": "harbour anchor mast tide sail wind crew deck rope storm captain compass island wave rudder voyage",
    "space": "orbit planet rocket comet gravity moon lens galaxy crater star mars launch satellite eclipse dust probe",
    "sports": "goal match team score referee coach sprint league stadium medal race player defence season trophy kick",
}
COMMON = "the of and to in that was for with from this they had there when would more about after first people"
DOCUMENTS, LENGTH, OWN, OTHER = 1000, (20, 60), 0.5, 0.1


def example_documents() -> tuple[list[str], list[str]]:
    """Return 1,000 documents of 20 to 59 words, half of them of the document's subject, and the subjects."""
    generator = stream(0, Purpose.SYNTHESIS)
    names, words = list(SUBJECTS), [text.split() for text in SUBJECTS.values()]
    texts, subjects = [], []
    for _ in range(DOCUMENTS):
        subject, length = (int(torch.randint(*span, (), generator=generator)) for span in ((0, len(names)), LENGTH))
        draws = torch.rand(length, 3, generator=generator).tolist()
        chosen = []
        for kind, which, word in draws:
            other = int(which * len(names)) if kind < OWN + OTHER else None
            pool = words[subject] if kind < OWN else COMMON.split() if other is None else words[other]
            chosen.append(pool[int(word * len(pool))])
        texts.append(" ".join(chosen))
        subjects.append(names[subject])
    return texts, subjects
