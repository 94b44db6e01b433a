"""Parquet and Feather: bombs, pickles, deep schemas."""

import pickle
import struct

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from fuzz.hostile.registry import Trap, hostile

_GB, _MB = 1024**3, 1024**2


@hostile("parquet", slow=True)
def billion_rows_of_one_value(path, outside):
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(_MB, np.int8)), pa.array([1.5]))
    table = pa.table({"pt": values})
    with pa.parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(300):
            writer.write_table(table)


@hostile("parquet")
def long_text_many_times(path, outside):
    values = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 200_000])
    )
    pa.parquet.write_table(pa.table({"pt": np.ones(100_000), "name": values}), path)


@hostile("parquet", slow=True)
def packed_gigabyte(path, outside):
    table = pa.table({"pt": np.zeros(_GB // 16)})
    pa.parquet.write_table(table, path, compression="zstd", use_dictionary=False,
                           data_page_size=2**30, row_group_size=2**30)  # fmt: skip


@hostile("parquet", slow=True)
def one_list_of_millions(path, outside):
    lists = pa.ListArray.from_arrays([0, 60_000_000], pa.array(np.zeros(60_000_000, np.float32)))
    pa.parquet.write_table(pa.table({"c": lists}), path, compression="zstd")


def nested_type(depth):
    kind = pa.float32()
    for i in range(depth):
        kind = pa.list_(kind) if i % 2 else pa.struct([("a", kind)])
    return kind


@hostile("parquet")
def deep_parquet(path, outside):
    pa.parquet.write_table(pa.table({"c": pa.nulls(3, nested_type(60))}), path)


@hostile("parquet")
def very_deep_schema(path, outside):
    pa.parquet.write_table(pa.table({"c": pa.nulls(3, nested_type(400))}), path)


@hostile("parquet", slow=True)
def wide_schema(path, outside):
    pa.parquet.write_table(pa.table({f"c{i}": [1.0, 2.0] for i in range(10_000)}), path)


@hostile("parquet")
def footer_of_any_size(path, outside):
    path.write_bytes(b"PAR1" + bytes(1000) + struct.pack("<I", 2**31 - 1) + b"PAR1")


@hostile("parquet", slow=True)
def many_row_groups(path, outside):
    table = pa.table({"pt": np.zeros(20_000)})
    pa.parquet.write_table(table, path, row_group_size=1)


@hostile("parquet")
def pickled_metadata(path, outside):
    evil = pickle.dumps(Trap(outside), protocol=0)
    notes = {"pandas": evil, "ARROW:extension:name": "arrow.py_extension_type", "fivesigma": "1"}
    field = pa.field("pt", pa.float64(), metadata={
        "ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": evil,
    })  # fmt: skip
    schema = pa.schema([field], metadata=notes)
    pa.parquet.write_table(pa.table([pa.array([1.0])], schema=schema), path)


@hostile("feather")
def pickled_feather(path, outside):
    evil = pickle.dumps(Trap(outside), protocol=0)
    field = pa.field("pt", pa.float64(), metadata={
        "ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": evil,
    })  # fmt: skip
    pa.feather.write_feather(pa.table([pa.array([1.0])], schema=pa.schema([field])), path)


@hostile("feather", slow=True)
def packed_feather(path, outside):
    table = pa.table({"pt": np.zeros(_GB // 16)})
    pa.feather.write_feather(table, path, compression="zstd", chunksize=2**30)


@hostile("feather")
def deep_feather(path, outside):
    table = pa.table({"c": pa.nulls(3, nested_type(60))})
    pa.feather.write_feather(table, path, compression="uncompressed")


@hostile("feather", slow=True)
def many_batches(path, outside):
    table = pa.table({"pt": np.zeros(20_000)})
    pa.feather.write_feather(table, path, compression="uncompressed", chunksize=1)


@hostile("feather")
def feather_1(path, outside):
    pa.feather.write_feather(pa.table({"pt": [1.0]}), path, version=1)
