package io.tidemark.oracle;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.rocksdb.ColumnFamilyDescriptor;
import org.rocksdb.ColumnFamilyHandle;
import org.rocksdb.ColumnFamilyOptions;
import org.rocksdb.DBOptions;
import org.rocksdb.Options;
import org.rocksdb.ReadOptions;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksIterator;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/** Reads directories of RocksDB with RocksDB itself, the one that Flink brings: what is in each column family. */
final class RocksJudge {
    private RocksJudge() {}

    static void run(JsonNode request, ObjectNode report) throws Exception {
        NativeLoader.load();
        ArrayNode all = report.putArray("databases");
        for (JsonNode db : request.get("rocksdb")) {
            read(db, all.addArray());
        }
    }

    /** The entries whose key begins with a key group of the range, in the order of RocksDB, merged as Flink merges. */
    private static void read(JsonNode db, ArrayNode out) throws Exception {
        String dir = db.get("dir").asText();
        List<ColumnFamilyDescriptor> families = new ArrayList<>();
        try (Options options = new Options()) {
            for (byte[] name : RocksDB.listColumnFamilies(options, dir)) {
                families.add(new ColumnFamilyDescriptor(name, new ColumnFamilyOptions().setMergeOperatorName("stringappendtest")));
            }
        }
        List<ColumnFamilyHandle> handles = new ArrayList<>();
        try (DBOptions options = new DBOptions(); RocksDB rocks = RocksDB.openReadOnly(options, dir, families, handles)) {
            for (ColumnFamilyHandle handle : handles) {
                family(db, rocks, handle, out.addObject());
                handle.close();
            }
        }
    }

    private static void family(JsonNode db, RocksDB rocks, ColumnFamilyHandle handle, ObjectNode out) throws Exception {
        int prefix = db.get("prefix").asInt();
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        long entries = 0;
        try (ReadOptions options = new ReadOptions().setTotalOrderSeek(true).setVerifyChecksums(true); RocksIterator it = rocks.newIterator(handle, options)) {
            for (it.seekToFirst(); it.isValid(); it.next()) {
                byte[] key = it.key();
                int group = key[0] & 0xff;
                if (prefix == 2) {
                    group = group << 8 | key[1] & 0xff;
                }
                if (group < db.get("first").asInt() || group > db.get("last").asInt()) {
                    continue;
                }
                entries++;
                for (byte[] part : new byte[][] {key, it.value()}) {
                    digest.update(ByteBuffer.allocate(4).putInt(part.length).array());
                    digest.update(part);
                }
            }
            it.status();
        }
        out.put("name", new String(handle.getName(), StandardCharsets.UTF_8));
        out.put("entries", entries);
        out.put("sha256", HexFormat.of().formatHex(digest.digest()));
    }

    /** Loads the native library once. */
    private static final class NativeLoader {
        static {
            File dir = new File(System.getProperty("java.io.tmpdir"), "rocksdb");
            dir.mkdirs();
            try {
                org.rocksdb.NativeLibraryLoader.getInstance().loadLibrary(dir.getAbsolutePath());
            } catch (java.io.IOException e) {
                throw new IllegalStateException(e);
            }
            RocksDB.loadLibrary();
        }

        static void load() {}
    }
}
