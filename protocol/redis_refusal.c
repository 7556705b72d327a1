/* SPDX-License-Identifier: MIT
 *
 * redis_refusal.c - what Redis 7.0 has and this server has not, and why.
 */
#include <string.h>

#include "protocol/redis_command.h"

#define NAME_LEN_MAX 24u /* no name is longer */

static const struct {
    const char *reason;
    const char *names; /* lower case; a space before and behind each */
} refusals[] = {
    {"values are strings here, and there are no other types of data",
     " blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin geoadd geodist geohash geopos georadius "
     "georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore hdel hexists hget hgetall "
     "hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals lindex linsert "
     "llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim pfadd pfcount pfdebug pfmerge pfselftest "
     "rpop rpoplpush rpush rpushx sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers "
     "smismember smove spop srandmember srem sscan sunion sunionstore xack xadd xautoclaim xclaim xdel xgroup "
     "xinfo xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore "
     "zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange "
     "zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore "
     "zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore "},
    {"values do not expire here",
     " expire expireat expiretime getex persist pexpire pexpireat pexpiretime psetex pttl setex ttl "},
    {"keys are not stored here, only what they hash to, so they cannot be listed",
     " keys randomkey scan sort sort_ro "},
    {"values are written and read as they are here, and nothing is computed from them",
     " append bitcount bitfield bitfield_ro bitop bitpos decr decrby getbit incr incrby incrbyfloat lcs setbit "
     "setrange "},
    {"there are no channels here",
     " psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe "},
    {"there are no scripts here", " eval eval_ro evalsha evalsha_ro fcall fcall_ro function script "},
    {"this server is alone: it has no replicas and is part of no cluster",
     " asking cluster failover migrate psync readonly readwrite replconf replicaof restore-asking role slaveof "
     "sync "},
    {"what is stored has no such form here", " dump object restore "},
    {"a store is emptied by dropping it, over HTTP or with the rdrive program", " flushall flushdb "},
    {"a store keeps its name: there are no databases here whose numbers could be exchanged", " swapdb "},
    {"this server is not managed over this protocol",
     " acl bgsave debug latency lolwut memory module monitor shutdown slowlog "},
};

const char *rd_redis_refusal(struct rd_slice name)
{
    char word[NAME_LEN_MAX + 3];
    if (name.len == 0 || name.len > NAME_LEN_MAX)
        return NULL;
    word[0] = ' ';
    for (size_t i = 0; i < name.len; i++) {
        word[i + 1] = (char)rd_lower_case(name.data[i]);
        if (word[i + 1] == ' ' || word[i + 1] == '\0')
            return NULL;
    }
    memcpy(word + 1 + name.len, " ", 2);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strstr(refusals[i].names, word) != NULL)
            return refusals[i].reason;
    return NULL;
}
