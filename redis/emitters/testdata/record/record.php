<?php
// Writes, as JSON, what the emitters for PHP publish, whose packages are rase/socket.io-emitter (one message, without a
// sender, on prefix#emitter) and ashiina/socket.io-emitter (with one, once for each room). Both hand arrays of this
// shape to msgpack_pack of the extension msgpack, where an empty array is a list. Run: php record.php > ../php.json

function options(array $rooms, array $flags = []): array {
    return ['rooms' => $rooms, 'flags' => $flags];
}

function packet(array $data): array {
    return ['type' => 2, 'data' => $data, 'nsp' => '/'];
}

function published(string $channel, array $message): array {
    return ['channel' => $channel, 'payload' => base64_encode(msgpack_pack($message))];
}

function rase(string $name, array $data, array $rooms, array $flags = []): array {
    return ['name' => "PHP, rase: $name", 'published' => [published('socket.io#emitter', [packet($data), options($rooms, $flags)])]];
}

function ashiina(string $name, array $data, array $rooms, array $flags = []): array {
    $message = ['emitter', packet($data), options($rooms, $flags)];
    $channels = $rooms ? array_map(fn ($room) => "socket.io#/#$room#", $rooms) : ['socket.io#/#'];
    return ['name' => "PHP, ashiina: $name", 'published' => array_map(fn ($channel) => published($channel, $message), $channels)];
}

$records = [];
foreach (['rase', 'ashiina'] as $emitter) {
    $records[] = $emitter('to all', ['tick'], []);
    $records[] = $emitter('to a room', ['note', 'hello', 7], ['uid:1']);
    $records[] = $emitter('to two rooms', ['note', ['title' => 'é', 'list' => [1, -1, 2.5, null, true]]], ['uid:1', 'company:2']);
    $records[] = $emitter('volatile', ['note', ['n' => 1]], ['uid:1'], ['volatile' => true]);
    $records[] = $emitter('long text', ['note', str_repeat('x', 40), str_repeat('y', 300)], []);
    $records[] = $emitter('keys that are numbers', ['note', [3 => 'a', 5 => 'b']], []);
}
echo json_encode($records, JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
