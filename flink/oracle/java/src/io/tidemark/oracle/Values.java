package io.tidemark.oracle;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.formats.avro.typeutils.GenericRecordAvroTypeInfo;
import org.apache.flink.types.Row;

import java.util.List;

/** The structured values: what record id leaves in them. */
final class Values {
    public enum Colour { RED, GREEN, BLUE }

    /** A value with the field types that users have: null where id % 4 is 0. */
    public static class ValuePojo {
        public long id;
        public String text;
        public double half;
        public Integer maybe;
        public Colour colour;
        public byte[] bytes;

        public ValuePojo() {}

        ValuePojo(long id) {
            this.id = id;
            text = "text-" + id;
            half = id / 2.0;
            maybe = id % 4 == 0 ? null : (int) id * 3;
            colour = Colour.values()[(int) (id % 3)];
            bytes = new byte[] {(byte) id, (byte) -id};
        }

        @Override
        public String toString() {
            return id + " " + text + " " + half + " " + maybe + " " + colour + " " + bytes[0] + "," + bytes[1];
        }
    }

    static final TypeInformation<Row> ROW =
            Types.ROW_NAMED(new String[] {"id", "name", "rate"}, Types.LONG, Types.STRING, Types.DOUBLE);

    static Row row(long id) {
        return Row.of(id, id % 4 == 0 ? null : "n" + id, id / 4.0);
    }

    /** State with a generic Avro record; made where it is used, as a schema is not for passing around. */
    static final class Avro {
        private final Schema schema = new Schema.Parser().parse(
                "{\"type\":\"record\",\"name\":\"Visit\",\"namespace\":\"io.tidemark.oracle\",\"fields\":["
                        + "{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"name\",\"type\":[\"null\",\"string\"]},"
                        + "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"int\"}}]}");
        ValueState<GenericRecord> state;

        ValueStateDescriptor<GenericRecord> descriptor() {
            return new ValueStateDescriptor<>("avro", new GenericRecordAvroTypeInfo(schema));
        }

        GenericRecord of(long id) {
            GenericData.Record r = new GenericData.Record(schema);
            r.put("id", id);
            r.put("name", id % 4 == 0 ? null : "a" + id);
            r.put("tags", List.of((int) id, (int) -id));
            return r;
        }

        String text(GenericRecord r) {
            List<?> tags = (List<?>) r.get("tags");
            return r.get("id") + " " + r.get("name") + " " + tags.get(0) + "," + tags.get(1);
        }
    }
}
