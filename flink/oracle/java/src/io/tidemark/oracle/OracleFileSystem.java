package io.tidemark.oracle;

import org.apache.flink.core.fs.BlockLocation;
import org.apache.flink.core.fs.EntropyInjectingFileSystem;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.FileSystemFactory;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalBlockLocation;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.core.fs.local.LocalRecoverableWriter;

import java.io.IOException;
import java.net.URI;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * s3://bucket/... on the local disk, below one directory: so that the absolute paths in a sample are those of a real job
 * and not those of the machine that made it. Flink writes entropy paths to it as to S3: the marker _entropy_ in a path is
 * replaced in data files and left out of metadata files.
 */
public final class OracleFileSystem extends LocalFileSystem implements EntropyInjectingFileSystem {
    private static volatile String root;
    private static final AtomicInteger entropy = new AtomicInteger();

    static void mount(String dir) {
        root = dir;
        entropy.set(0);
    }

    /** Found by Flink through META-INF/services. */
    public static final class Factory implements FileSystemFactory {
        @Override
        public String getScheme() {
            return "s3";
        }

        @Override
        public FileSystem create(URI uri) {
            return new OracleFileSystem(uri.getAuthority());
        }
    }

    // Not super: its methods call one another, and each would map the path again.
    private static final LocalFileSystem LOCAL = new LocalFileSystem();

    private final String bucket;

    private OracleFileSystem(String bucket) {
        this.bucket = bucket;
    }

    private Path local(Path p) {
        if (root == null) {
            throw new IllegalStateException("no directory is mounted for " + p);
        }
        return new Path("file:" + root + p.toUri().getPath());
    }

    private FileStatus remote(FileStatus s, Path p) {
        return new FileStatus() {
            @Override
            public long getLen() {
                return s.getLen();
            }

            @Override
            public long getBlockSize() {
                return s.getBlockSize();
            }

            @Override
            public short getReplication() {
                return s.getReplication();
            }

            @Override
            public long getModificationTime() {
                return s.getModificationTime();
            }

            @Override
            public long getAccessTime() {
                return s.getAccessTime();
            }

            @Override
            public boolean isDir() {
                return s.isDir();
            }

            @Override
            public Path getPath() {
                return p;
            }
        };
    }

    @Override
    public String getEntropyInjectionKey() {
        return "_entropy_";
    }

    @Override
    public String generateEntropy() {
        return String.format("%04x", entropy.incrementAndGet() * 0x3a7f & 0xffff);
    }

    @Override
    public URI getUri() {
        return URI.create("s3://" + bucket);
    }

    @Override
    public boolean isDistributedFS() {
        return true;
    }

    @Override
    public FileStatus getFileStatus(Path p) throws IOException {
        return remote(LOCAL.getFileStatus(local(p)), p);
    }

    @Override
    public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long len) {
        return new BlockLocation[] {new LocalBlockLocation(file.getLen())};
    }

    @Override
    public FSDataInputStream open(Path p, int bufferSize) throws IOException {
        return LOCAL.open(local(p), bufferSize);
    }

    @Override
    public FSDataInputStream open(Path p) throws IOException {
        return LOCAL.open(local(p));
    }

    @Override
    public boolean exists(Path p) throws IOException {
        return LOCAL.exists(local(p));
    }

    @Override
    public FileStatus[] listStatus(Path p) throws IOException {
        FileStatus[] all = LOCAL.listStatus(local(p));
        for (int i = 0; all != null && i < all.length; i++) {
            all[i] = remote(all[i], new Path(p, all[i].getPath().getName()));
        }
        return all;
    }

    @Override
    public boolean delete(Path p, boolean recursive) throws IOException {
        return LOCAL.delete(local(p), recursive);
    }

    @Override
    public boolean mkdirs(Path p) throws IOException {
        return LOCAL.mkdirs(local(p));
    }

    @Override
    public FSDataOutputStream create(Path p, WriteMode mode) throws IOException {
        return LOCAL.create(local(p), mode);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        return LOCAL.rename(local(from), local(to));
    }

    @Override
    public LocalRecoverableWriter createRecoverableWriter() {
        throw new UnsupportedOperationException("metadata is written in one go");
    }
}
