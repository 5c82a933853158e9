package io.tidemark.oracle;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.types.Row;

import java.io.Serializable;
import java.util.Objects;

/** The key types: key number i as a value of the type, and that value as text. */
final class Keys {
    /** A key as a user's job has it: public fields, hash over both in the order of Objects.hash. */
    public static class KeyPojo implements Serializable {
        public String name;
        public long number;

        public KeyPojo() {}

        KeyPojo(String name, long number) {
            this.name = name;
            this.number = number;
        }

        @Override
        public boolean equals(Object o) {
            return o instanceof KeyPojo k && k.number == number && k.name.equals(name);
        }

        @Override
        public int hashCode() {
            return Objects.hash(name, number);
        }
    }

    /** A key with the hash code that IntelliJ IDEA used to write, in the order of declaration. */
    public static class KeyIdea implements Serializable {
        public long number;
        public String name;
        public boolean odd;

        public KeyIdea() {}

        KeyIdea(String name, long number) {
            this.name = name;
            this.number = number;
            odd = number % 2 != 0;
        }

        @Override
        public boolean equals(Object o) {
            return o instanceof KeyIdea k && k.number == number && k.odd == odd && Objects.equals(k.name, name);
        }

        @Override
        public int hashCode() {
            int result = (int) (number ^ (number >>> 32));
            result = 31 * result + (name != null ? name.hashCode() : 0);
            result = 31 * result + (odd ? 1 : 0);
            return result;
        }
    }

    /** A key that is a record; Flink serialises it as a POJO. */
    public record KeyRecord(String name, long number) implements Serializable {}

    /** Not all ASCII, and of several lengths. */
    static String name(int i) {
        return i % 5 == 4 ? "ключ-" + i : "key-" + i;
    }

    /** Spread over both signs and beyond 32 bits. */
    static long number(int i) {
        return (i - 3) * 10_000_000_019L;
    }

    static Object of(String type, int i) {
        return switch (type) {
            case "long" -> number(i);
            case "int" -> (int) number(i);
            case "string" -> name(i);
            case "tuple2" -> Tuple2.of(name(i), number(i));
            case "pojo" -> new KeyPojo(name(i), number(i));
            case "pojo-idea" -> new KeyIdea(name(i), number(i));
            case "record" -> new KeyRecord(name(i), number(i));
            case "row" -> Row.of(name(i), number(i));
            default -> throw new IllegalArgumentException("key type " + type);
        };
    }

    static TypeInformation<?> info(String type) {
        return switch (type) {
            case "long" -> Types.LONG;
            case "int" -> Types.INT;
            case "string" -> Types.STRING;
            case "tuple2" -> Types.TUPLE(Types.STRING, Types.LONG);
            case "pojo" -> Types.POJO(KeyPojo.class);
            case "pojo-idea" -> Types.POJO(KeyIdea.class);
            case "record" -> Types.POJO(KeyRecord.class);
            case "row" -> Types.ROW(Types.STRING, Types.LONG);
            default -> throw new IllegalArgumentException("key type " + type);
        };
    }

    static String text(Object key) {
        if (key instanceof Tuple2<?, ?> t) {
            return t.f0 + "," + t.f1;
        }
        if (key instanceof KeyPojo p) {
            return p.name + "," + p.number;
        }
        if (key instanceof KeyIdea k) {
            return k.name + "," + k.number;
        }
        if (key instanceof KeyRecord k) {
            return k.name + "," + k.number;
        }
        if (key instanceof Row r) {
            return r.getField(0) + "," + r.getField(1);
        }
        return key.toString();
    }

    static final class Selector implements KeySelector<Tuple2<Long, String>, Object> {
        private final Job job;

        Selector(Job job) {
            this.job = job;
        }

        @Override
        public Object getKey(Tuple2<Long, String> record) {
            return of(job.keyType, job.key(record.f0));
        }
    }
}
