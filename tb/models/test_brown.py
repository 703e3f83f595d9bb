"""Brown's words and tags become text as it was printed."""

import pytest

from systolith.evaluate.brown import brown, detokenize
from systolith.models.errors import FetchError


def text(tagged: str) -> str:
    return detokenize([tuple(item.rsplit("/", 1)) for item in tagged.split()])  # type: ignore[misc]


@pytest.mark.parametrize(
    "tagged, printed",
    [
        (
            "produced/vbd ``/`` no/at evidence/nn ''/'' that/cs any/dti took/vbd place/nn ./.",
            'produced "no evidence" that any took place.',
        ),
        (
            "``/`` A/at handful/nn ''/'' ,/, he/pps said/vbd ,/, ``/`` considering/in ''/'' ./.",
            '"A handful," he said, "considering."',
        ),
        ("``/`` Who/wps ''/'' ?/. ?/.", '"Who?"'),
        ("``/`` Go/vb ''/'' ;/. ;/. she/pps went/vbd !/. !/.", '"Go"; she went!'),
        (
            "``/`` We're/ppss+ber getting/vbg '/' pro/jj '/' letters/nns '/' now/rb '/' ''/'' ./.",
            "\"We're getting 'pro' letters 'now.'\"",
        ),
        (
            "that/cs :/: (/( 1/cd )/) Texas/np (/( sp./nn )/) ,/, 50%/nn of/in it/ppo",
            "that: (1) Texas (sp.), 50% of it",
        ),
        ("won/vbn by/in Ivan/np Allen/np Jr./np ./.", "won by Ivan Allen Jr."),
        ("a/at 1/4''/nn ''/'' bar/nn ,/, 12''/nns ''/'' ,/,", 'a 1/4" bar, 12",'),
        ("no/rb --/-- and/cc didn't/dod* pay/vb $5,000/nns", "no -- and didn't pay $5,000"),
        ("C./np &/cc-tl O./np -/in B./np-tl", "C. & O. - B."),
        ("a/at titer/nn of/in 1/cd :/in 512/cd", "a titer of 1:512"),
        ("40/cd counts/nns //in minute/nn", "40 counts/minute"),
        ("in/in Matthew/np-tl 18/cd-tl :/:-tl 21/cd-tl", "in Matthew 18:21"),
        ("the/at boys'/nns$ '49/cd team/nn **zg/nn", "the boys' '49 team"),
    ],
)  # fmt: skip
def test_detokenize(tagged, printed):
    assert text(tagged) == printed


def test_the_corpus():
    try:
        documents = brown()
    except FetchError as error:
        pytest.skip(str(error))
    assert len(documents) == 500
    names = list(documents)
    assert "".join(name[1] for name in names[:15]) == "abcdefghjklmnpr", "each genre once"
    assert names[15] == "ca02"
    assert documents["ca01"].startswith(
        "The Fulton County Grand Jury said Friday an investigation of Atlanta's recent primary "
        'election produced "no evidence" that any irregularities took place.\n\nThe jury further'
    )
    assert documents["cj30"].startswith("Analysis\n\nAnalysis means the evaluation")
    everything = "\n\n".join(documents.values())
    for mark in ("``", "''", "/nn", " ,", " ?", "? ?", "; ;", '" .', '" ,', "( ", " )", "  "):
        assert everything.replace("(\n", "(").count(mark) == 0, mark
    assert 5_900_000 < len(everything) < 6_100_000
