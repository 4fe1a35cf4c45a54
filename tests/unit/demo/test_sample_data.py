"""The tool that prepares penalties: valid codes, always the same, and dirt that the platform tells apart."""

import io

from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc

from demo.identifiers import party_code
from demo.sample_data import COLUMNS, convert, generate, write


@given(st.text(min_size=1, max_size=40))
def test_a_party_has_one_valid_code(party):
    assert uscc.is_valid(party_code(party))
    assert party_code(party) == party_code(party)


def test_the_same_seed_makes_the_same_records():
    assert list(generate(50, seed=3)) == list(generate(50, seed=3))
    assert list(generate(50, seed=3)) != list(generate(50, seed=4))


def test_a_published_row_gets_its_code_and_keeps_its_words():
    source = io.StringIO(
        "序号,披露日期,处罚日期,当事人,当事人类型,处罚类型,罚没金额（元）,违规领域,违规事实,所属总行,处理机构,法律依据,罚没金额分组\n"
        "1,2016/4/21,2009/7/28,某银行,法人机构,罚款,10000,许可证,遗失,某银行,某分局,《办法》第三条,A\n"
    )
    out = io.StringIO()
    assert write(convert(source), out) == 1
    header, row = out.getvalue().splitlines()
    assert header == ",".join(COLUMNS)
    assert row == f"{party_code('某银行')},某银行,2009/7/28,罚款,10000,遗失,某分局,《办法》第三条"
