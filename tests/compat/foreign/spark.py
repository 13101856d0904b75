"""PySpark Structured Streaming: counts events {user_id, action, timestamp} by five-minute window and action.

Arguments: BROKERS INPUT OUTPUT CHECKPOINT JARS. It reads INPUT from the beginning, or from where CHECKPOINT says, and
writes each count that has changed to OUTPUT as JSON, keyed by window and action. It ends with its standard input.
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, concat_ws, count, from_json, struct, to_json, window

brokers, source, sink, checkpoint, jars = sys.argv[1:]

settings = {
    "spark.driver.extraClassPath": jars + "/*",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
}
builder = SparkSession.builder.master("local[2]").appName("clickstream")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()

events = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", brokers)
    .option("subscribe", source)
    .option("startingOffsets", "earliest")
    .load()
    .select(from_json(col("value").cast("string"), "user_id STRING, action STRING, timestamp TIMESTAMP").alias("event"))
    .select("event.*")
)
counts = (
    events.withWatermark("timestamp", "1 hour")
    .groupBy(window("timestamp", "5 minutes"), "action")
    .agg(count("*").alias("count"))
    .select(
        concat_ws(" ", col("window.start").cast("string"), "action").alias("key"),
        to_json(struct(col("window.start"), col("window.end"), col("action"), col("count"))).alias("value"),
    )
)
query = (
    counts.writeStream.format("kafka")
    .option("kafka.bootstrap.servers", brokers)
    .option("topic", sink)
    .option("checkpointLocation", checkpoint)
    .outputMode("update")
    .trigger(processingTime="200 milliseconds")
    .start()
)
sys.stdin.read()
query.stop()
spark.stop()
