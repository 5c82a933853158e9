// Package javaser reads streams of Java's object serialisation as plain data.
//
// Nothing is ever instantiated and no class name is looked up: an object is its
// class's description and the values of its fields, as the stream spells them.
// Apache Flink ends its metadata with such a stream, and keeps some logical types
// in them.
//
// The source is the Java Object Serialization Specification, chapter 6; protocol
// version 2, which every Java since 1.2 writes.
//
// Non-goals: writing streams; externalizable objects of protocol version 1 and
// aborted streams, which are refused.
package javaser
