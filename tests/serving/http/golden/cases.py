"""The requests whose answers by MLflow are kept: what its clients send, and everything that can be wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
UA, AA = {"miles": 120, "carrier": "UA"}, {"miles": 700.5, "carrier": "AA", "gust": 30.0}
ROWS = [UA, AA]
SPLIT = {"columns": ["carrier", "miles"], "data": [["UA", 120], ["AA", 700.5]]}
NAMED = {"miles": [120, 700.5], "carrier": ["UA", "AA"]}
NUMBERS = {"a": [1, 2.5, -3], "b": [0.5, 0, 9], "c": [7, 8, 9]}
NUMBER_ROWS = [[1, 0.5, 7], [2.5, 0, 8], [-3, 9, 9]]
HUGE, DEEP = "1" + "0" * 400, "[" * 60 + "]" * 60


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    model: str
    body: bytes = b""
    content_type: str | None = JSON
    method: str = "POST"
    path: str = "/invocations"


def _json(model: str, **documents: Any) -> list[Case]:
    return [Case(_words(name), model, json.dumps(value).encode()) for name, value in documents.items()]


def _text(model: str, content_type: str, **bodies: str) -> list[Case]:
    return [Case(_words(name), model, text.encode(), content_type) for name, text in bodies.items()]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _parquet(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


FORMATS = _json(
    "late",
    records={"dataframe_records": ROWS},
    split={"dataframe_split": SPLIT},
    split_with_index={"dataframe_split": {**SPLIT, "index": [7, 8]}},
    split_with_doubled_index={"dataframe_split": {**SPLIT, "index": [7, 7]}},
    split_with_no_index={"dataframe_split": {**SPLIT, "index": None}},
    instances_as_records={"instances": [UA, {**UA, "miles": 700}]},
    instances_of_which_one_brings_the_optional_column={"instances": ROWS},
    instances_as_named_columns={"instances": NAMED},
    instances_as_one_row={"instances": UA},
    inputs_as_named_columns={"inputs": NAMED},
    inputs_as_records={"inputs": ROWS},
    inputs_as_one_row={"inputs": UA},
    inputs_with_one_scalar_for_all_rows={"inputs": {**NAMED, "carrier": "UA"}},
    optional_null={"dataframe_records": [{**UA, "gust": None}]},
    optional_null_in_columns={"inputs": {**NAMED, "gust": [None, 30.0]}},
    unknown_category={"dataframe_records": [{"miles": 120, "carrier": "ZZ"}]},
    unicode_category={"dataframe_records": [{"miles": 120, "carrier": "Ação ✈ 🛫"}]},
    empty_category={"dataframe_records": [{"miles": 120, "carrier": ""}]},
    extra_columns={"dataframe_records": [{**UA, "flight": "UA-1", "day": 3}]},
    extra_columns_of_inputs={"inputs": {**NAMED, "flight": ["UA-1", "AA-2"]}},
    extra_columns_of_split={
        "dataframe_split": {"columns": ["miles", "carrier", "day"], "data": [[1, "UA", 3]]}
    },
    params={"inputs": NAMED, "params": {"temperature": 1}},
    params_empty={"inputs": NAMED, "params": {}},
    params_null={"inputs": NAMED, "params": None},
    params_not_an_object={"inputs": NAMED, "params": 7},
    signature_name={"signature_name": "serving_default", "inputs": NAMED},
    unknown_field={"inputs": NAMED, "client_request_id": "c-1"},
)
FORMATS += _json(
    "numbers",
    numbers_as_named_columns={"inputs": NUMBERS},
    numbers_as_split={"dataframe_split": {"columns": ["a", "b", "c"], "data": NUMBER_ROWS}},
    numbers_as_booleans={"inputs": {"a": [True, False], "b": [1, 0], "c": [1, 1]}},
)
FORMATS += _json(
    "single",
    a_list_for_the_only_column={"inputs": [1, 5, 9]},
    a_list_of_instances_for_the_only_column={"instances": [1, 5, 9]},
)

UNFIT = _json(
    "late",
    missing_column={"dataframe_records": [{"miles": 120}]},
    missing_column_of_split={"dataframe_split": {"columns": ["miles"], "data": [[120]]}},
    missing_column_of_inputs={"inputs": {"miles": [120]}},
    missing_column_and_an_extra_one={"dataframe_records": [{"milez": 1, "carrier": "UA"}]},
    unknown_column_only={"inputs": {"x": [1]}},
    text_for_a_number={"dataframe_records": [{"miles": "far", "carrier": "UA"}]},
    text_for_a_number_of_inputs={"inputs": {"miles": ["far"], "carrier": ["UA"]}},
    text_for_a_number_of_instances={"instances": [{"miles": "far", "carrier": "UA"}]},
    list_for_a_number={"dataframe_records": [{"miles": [1, 2], "carrier": "UA"}]},
    object_for_a_number={"dataframe_records": [{"miles": {"km": 3}, "carrier": "UA"}]},
    null_for_a_number={"dataframe_records": [{**UA, "miles": None}]},
    null_for_a_category={"dataframe_records": [{**UA, "carrier": None}]},
    a_key_that_one_record_lacks={"dataframe_records": [UA, {"miles": 3}]},
    a_number_in_quotes={"dataframe_records": [{"miles": "120", "carrier": "UA"}]},
    a_number_for_a_category={"dataframe_records": [{"miles": 120, "carrier": 5}]},
    no_rows={"dataframe_records": []},
    no_rows_of_inputs={"inputs": []},
    columns_without_rows={"inputs": {"miles": [], "carrier": []}},
    columns_that_differ_in_length={"inputs": {"miles": [1, 2], "carrier": ["UA"]}},
    instances_that_differ_in_length={"instances": {"miles": [1, 2], "carrier": ["UA"]}},
    rows_without_names={"instances": [[120, "UA", 3]]},
    split_without_columns={"dataframe_split": {"data": [[120, "UA", 3]]}},
    split_with_short_index={"dataframe_split": {**SPLIT, "index": [7]}},
    split_in_the_models_order_with_short_index={
        "dataframe_split": {"columns": ["miles", "carrier", "gust"], "data": [[1, "UA", 3]] * 2, "index": [7]}
    },
    split_with_unknown_key={"dataframe_split": {**SPLIT, "dtypes": []}},
    split_without_data={"dataframe_split": {"columns": ["miles", "carrier"]}},
    split_as_list={"dataframe_split": [[120, "UA"]]},
    split_null={"dataframe_split": None},
    split_with_all_rows_short={
        "dataframe_split": {"columns": ["miles", "carrier", "gust"], "data": [[1, "UA"]]}
    },
    split_with_long_row={"dataframe_split": {"columns": ["miles", "carrier"], "data": [[1, "UA", 5]]}},
    split_with_ragged_rows={
        "dataframe_split": {"columns": ["miles", "carrier", "gust"], "data": [[1, "UA"], [2, "AA", 9]]}
    },
    split_with_doubled_column={
        "dataframe_split": {"columns": ["miles", "carrier", "miles"], "data": [[1, "UA", 5]]}
    },
    records_as_object={"dataframe_records": UA},
    records_as_text={"dataframe_records": "miles"},
    records_of_numbers={"dataframe_records": [7]},
    inputs_null={"inputs": None},
    inputs_as_number={"inputs": 7},
    inputs_as_text={"inputs": "UA"},
    inputs_mixed={"inputs": [UA, 7]},
    several_formats={"instances": ROWS, "inputs": NAMED},
    no_format={"rows": ROWS},
    an_empty_object={},
    a_list=[UA],
    a_number=7,
    a_null=None,
    a_chat={"messages": [{"role": "user", "content": "hi"}]},
)
UNFIT += _json(
    "numbers",
    rows_of_numbers_without_names={"inputs": NUMBER_ROWS},
    a_column_of_lists={"inputs": {"a": [[1, 2], [3, 4]], "b": [1, 2], "c": [1, 2]}},
)
UNFIT += _json(
    "single",
    a_table_for_the_only_column={"inputs": [[1], [5]]},
    a_number_for_the_only_column={"inputs": 5},
    a_text_for_the_only_column={"inputs": ["far"]},
)

BODIES = _text(
    "late",
    JSON,
    empty_body="",
    blank_body="  \n",
    not_json="miles=3",
    truncated='{"inputs": {"miles": [1',
    doubled='{"inputs": {"miles": [1], "carrier": ["UA"]}}{}',
    nan_for_a_number='{"dataframe_records": [{"miles": NaN, "carrier": "UA"}]}',
    infinity_for_a_number='{"dataframe_records": [{"miles": Infinity, "carrier": "UA"}]}',
    nan_for_an_optional_number='{"dataframe_records": [{"miles": 120, "carrier": "UA", "gust": NaN}]}',
    a_huge_number=f'{{"dataframe_records": [{{"miles": {HUGE}, "carrier": "UA"}}]}}',
    nested_lists=f'{{"dataframe_records": {DEEP}}}',
    nested_lists_for_a_number=f'{{"inputs": {{"miles": {DEEP}, "carrier": ["UA"]}}}}',
    a_doubled_key='{"dataframe_records": [{"miles": 9, "miles": 120, "carrier": "UA"}]}',
)
BODIES += [
    Case("not utf-8", "late", b'{"inputs": {"miles": [1], "carrier": ["\xe9"]}}'),
    Case("half a surrogate pair", "late", b'{"inputs": {"miles": [1], "carrier": ["\\ud800"]}}'),
    Case("a byte order mark", "late", b"\xef\xbb\xbf" + json.dumps({"inputs": NAMED}).encode()),
]

TYPES = [
    Case(f"content type {content_type}", "late", json.dumps({"inputs": NAMED}).encode(), content_type)
    for content_type in (
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=utf-8",
        "Application/JSON",
        'application/json; charset="utf-8"',
        "application/json; charset=latin-1",
        "application/json; boundary=x",
        "application/json;",
        "text/html",
        "text/csv; header=present",
        "",
        None,
    )
]

CSVS = _text(
    "late",
    CSV,
    csv="miles,carrier\n120,UA\n700.5,AA\n",
    csv_with_optional='carrier,miles,gust\r\n"UA",1.2e2,\r\nAA,700.5,30\r\n',
    csv_with_index=",miles,carrier\n0,120,UA\n1,700.5,AA\n",
    csv_with_blank_lines="miles,carrier\n\n120,UA\n\n700.5,AA\n\n",
    csv_with_marks_of_nothing="miles,carrier,gust\n120,UA,NA\n700.5,AA,nan\n120,UA,NULL\n",
    csv_with_quotes='miles,carrier,note\n120,UA,"a ""b"", c\nd"\n',
    csv_with_unicode="miles,carrier\n120,Ação ✈\n",
    csv_with_byte_order_mark="\ufeffmiles,carrier\n120,UA\n",
    csv_with_spaces_about_a_number="miles,carrier\n 120 ,UA\n",
    csv_without_rows="miles,carrier\n",
    csv_empty="",
    csv_with_text_for_a_number="miles,carrier\nfar,UA\n",
    csv_with_grouped_digits="miles,carrier\n1_000,UA\n",
    csv_with_nothing_for_a_number="miles,carrier\n,UA\n",
    csv_with_infinity="miles,carrier\ninf,UA\n",
    csv_missing_column="carrier\nUA\n",
    csv_with_long_row="miles,carrier\n120,UA\n1,UA,3\n",
    csv_with_short_row="miles,carrier\n120,UA\n1\n",
    csv_with_doubled_column="miles,carrier,miles\n120,UA,5\n",
    csv_with_open_quote='miles,carrier\n120,"UA\n',
)
CSVS += [Case("csv not utf-8", "late", b"miles,carrier\n120,\xe9\n", CSV)]

_FRAME = pa.table({"miles": [120.0, 700.5], "carrier": ["UA", "AA"]})
PARQUETS = [
    Case(f"parquet {name}", "late", body, PARQUET)
    for name, body in {
        "frame": _parquet(_FRAME),
        "with optional": _parquet(_FRAME.append_column("gust", pa.array([None, 30.0]))),
        "with extra columns": _parquet(_FRAME.append_column("day", pa.array([1, 2]))),
        "of halves": _parquet(_FRAME.set_column(0, "miles", pa.array([120.0, 700.5], pa.float32()))),
        "of whole numbers": _parquet(_FRAME.set_column(0, "miles", pa.array([120, 700], pa.int64()))),
        "of small whole numbers": _parquet(_FRAME.set_column(0, "miles", pa.array([120, 700], pa.int32()))),
        "of times": _parquet(_FRAME.set_column(0, "miles", pa.array([1, 2], pa.timestamp("us")))),
        "of texts": _parquet(_FRAME.set_column(0, "miles", pa.array(["1", "2"]))),
        "with null": _parquet(_FRAME.set_column(0, "miles", pa.array([None, 2.0]))),
        "missing column": _parquet(_FRAME.select(["miles"])),
        "without rows": _parquet(_FRAME.slice(0, 0)),
        "truncated": _parquet(_FRAME)[:-40],
        "empty": b"",
        "not parquet": b"miles,carrier\n120,UA\n",
    }.items()
]

TENSORS = _json(
    "matrix",
    matrix_of_inputs={"inputs": NUMBER_ROWS},
    matrix_of_instances={"instances": NUMBER_ROWS},
    matrix_with_null={"inputs": [[1, None, 7]]},
    matrix_of_booleans={"inputs": [[True, False, True]]},
    matrix_as_split={"dataframe_split": {"columns": ["p", "q", "r"], "data": NUMBER_ROWS}},
    matrix_as_split_without_columns={"dataframe_split": {"data": NUMBER_ROWS}},
    matrix_as_records={"dataframe_records": [{"p": 1, "q": 2.5, "r": 3}]},
    matrix_ragged={"inputs": [[1, 2, 3], [1]]},
    matrix_too_narrow={"inputs": [[1, 2]]},
    matrix_too_flat={"inputs": [1, 2, 3]},
    matrix_of_texts={"inputs": [["a", "b", "c"]]},
    matrix_of_numbers_in_quotes={"inputs": [["1", "2", "3"]]},
    matrix_named={"inputs": {"pixels": NUMBER_ROWS}},
    matrix_empty={"inputs": []},
    matrix_null={"inputs": None},
    matrix_split_too_narrow={"dataframe_split": {"data": [[1, 2]]}},
)
TENSORS += _json(
    "pair",
    pair_of_inputs={"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}},
    pair_of_instances={"instances": [{"a": [1, 2], "b": 5}, {"a": [3, 4], "b": 6}]},
    pair_of_named_instances={"instances": {"a": [[1, 2], [3, 4]], "b": [5, 6]}},
    pair_with_an_extra_tensor={"inputs": {"a": [[1, 2]], "b": [5], "c": [1]}},
    pair_as_split={"dataframe_split": {"columns": ["a", "b"], "data": [[[1, 2], 5], [[3, 4], 6]]}},
    pair_as_records={"dataframe_records": [{"a": [1, 2], "b": 5}, {"a": [3, 4], "b": 6}]},
    pair_lacks_one={"inputs": {"a": [[1, 2]]}},
    pair_without_names={"inputs": [[1, 2]]},
    pair_of_a_fraction={"inputs": {"a": [[1, 2]], "b": [5.5]}},
    pair_of_a_whole_float={"inputs": {"a": [[1, 2]], "b": [5.0]}},
    pair_of_a_huge_number={"inputs": {"a": [[1, 2]], "b": [2**70]}},
    pair_of_instances_that_lack_one={"instances": [{"a": [1, 2], "b": 5}, {"a": [3, 4]}]},
    pair_of_ragged_instances={"instances": [{"a": [1, 2], "b": 5}, {"a": [3], "b": 6}]},
)
TENSORS += _json(
    "named",
    only_tensor_without_its_name={"inputs": [[[1, 2], [3, 4]]]},
    only_tensor_by_name={"inputs": {"image": [[[1, 2], [3, 4]]]}},
    only_tensor_of_instances={"instances": [{"image": [[1, 2], [3, 4]]}]},
    only_tensor_out_of_range={"inputs": [[[1, 2], [3, 256]]]},
    only_tensor_negative={"inputs": [[[1, 2], [3, -1]]]},
)

PLACES = [
    Case("ping", "late", b"", None, "GET", "/ping"),
    Case("health", "late", b"", None, "GET", "/health"),
    Case("version", "late", b"", None, "GET", "/version"),
    Case("get invocations", "late", b"", None, "GET", "/invocations"),
    Case("post ping", "late", b"", None, "POST", "/ping"),
    Case("nowhere", "late", b"", None, "GET", "/nowhere"),
]

CASES = [*FORMATS, *UNFIT, *BODIES, *TYPES, *CSVS, *PARQUETS, *TENSORS, *PLACES]
